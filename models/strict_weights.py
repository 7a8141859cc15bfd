"""Weights fit a network exactly or not at all.

A file that half fits loads silently with ``strict=False`` and then answers nonsense. Here every difference is found before a single number
is copied, and one message names them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from models.weights_folder import WeightsError

__all__ = ["WeightsError", "check_fit", "copy_tensors"]

LISTED = 8
"""Names that a message spells out of each kind of difference."""


def check_fit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, source: str, remedy: str) -> None:
    """Compare names and shapes.

    Args:
        found: tensors of a file.
        expected: tensors of the network, by the names the file should use.
        source: what was read, for the message.
        remedy: what to do about a difference, for the message.

    Raises:
        WeightsError: a tensor is missing, not expected, or of another shape or kind.
    """
    shared = [name for name in expected if name in found]
    misshapen = [
        f"{name} found {_describe(found[name])}, expected {_describe(expected[name])}"
        for name in shared
        if found[name].shape != expected[name].shape or found[name].is_floating_point() != expected[name].is_floating_point()
    ]
    differences = [
        _list("missing", [name for name in expected if name not in found]),
        _list("not expected", [name for name in found if name not in expected]),
        _list("of another shape", misshapen),
    ]
    if any(differences):
        raise WeightsError(f"{source} does not fit: {'; '.join(filter(None, differences))}. {remedy}")


@torch.no_grad()
def copy_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Copy into the network's tensors, converting the type of numbers where it differs; call :func:`check_fit` first."""
    for name, target in expected.items():
        target.copy_(found[name])


def _spell_out(names: Iterable[str]) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _list(kind: str, names: list[str]) -> str:
    return f"{len(names)} {kind} ({_spell_out(names)})" if names else ""


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
