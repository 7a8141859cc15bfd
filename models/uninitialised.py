"""Building a network whose numbers come from a file: without drawing random ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.overrides import TorchFunctionMode


class Uninitialised(TorchFunctionMode):
    """A context in which those functions of ``torch.nn.init`` do nothing that linear, convolution and embedding layers draw with.

    Parameters keep whatever their memory holds, so every one of them must be filled afterwards, as ``load_weights`` does. It saves the
    time for random numbers (SAM ViT-H: 640 million) and, as memory that nobody wrote to is not there yet, that memory as well. Buffers are
    computed as usual; on the meta device they would be lost.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Hand back the tensor as it is where ``torch.nn.init`` would draw it."""
        given = dict(kwargs or {})
        if getattr(func, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)
