"""Where networks compute, and how precisely: the one place that decides.

Mixed precision is PyTorch's autocast. What must not be rounded says so where it is computed, with :func:`in_float32`.
"""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.engine_options import Precision

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and the type that its matrix products run in.

    Args:
        device: where to compute.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32

    @property
    def is_reduced(self) -> bool:
        """Whether products run in less than float32."""
        return self.dtype != torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.is_reduced)

    def reduce(self, module: nn.Module) -> None:
        """Keep the weights of a module's products in ``dtype``; all else in it stays in float32.

        Results are those of autocast bit for bit, which would convert the same weights anew for every batch; and they need half the room.
        """
        if not self.is_reduced:
            return
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.to(self.dtype)

    def upload(self, tensor: Tensor) -> Tensor:
        """A tensor of main memory on the device; to CUDA from pinned memory, while the processor goes on."""
        if self.device.type == "cuda" and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=self.device.type == "cuda")

    def release(self) -> None:
        """Give memory that nobody uses back to the device."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """The context for numerically delicate steps (spec 7.18): no autocast inside. Inputs that come from outside may need ``.float()``."""
    if not torch.amp.is_autocast_available(device.type):  # the meta device, where only shapes are computed
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type for products on a device: ``auto`` is bf16 on CUDA devices that compute in it natively, fp32 everywhere else.

    Raises:
        ValueError: the device does not compute in it.
    """
    if precision == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if precision == "bf16" and device.type == "cuda" and not _has_bfloat16(device):
        raise ValueError(f"{torch.cuda.get_device_name(device)} does not compute in bf16; use precision 'fp16' or 'fp32'")
    return _DTYPES[precision]


def choose_device(name: str = "auto", worker: int = 0) -> torch.device:
    """The device of that name; ``auto`` is a CUDA device if there is one, else Apple's, else the processor.

    Args:
        name: ``auto``, or a name of PyTorch's: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        worker: number of this process among those that serve, from 0. ``cuda`` without a number (``auto`` too) is the CUDA device of the
            worker's number, counted round; a name with a number is that device for every worker.

    Raises:
        ValueError: PyTorch knows no such device, or it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if name == "cuda":
            device = torch.device("cuda", worker % max(1, torch.cuda.device_count()))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use 'auto' or 'cpu'") from error
    return device


def _has_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
