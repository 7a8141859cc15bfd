"""Engines of one base in one process: what a fine-tuned version did not change is in memory once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn


def share_unchanged(networks: Mapping[str, nn.Module], of_base: Mapping[str, nn.Module], changed: Collection[str]) -> int:
    """Let networks use the base's parameters in place of equal ones of their own, whose memory is freed.

    Args:
        networks: of a version, each by the prefix of its tensors' names in the weights file.
        of_base: the same of its base, on the same device and in the same precision.
        changed: names of tensors that the version changed, with their prefixes.

    Returns:
        bytes that are shared.
    """
    shared = 0
    for prefix, network in networks.items():
        twins = dict(of_base[prefix].named_parameters()) if prefix in of_base else {}
        for name, parameter in network.named_parameters():
            twin = twins.get(name)
            if prefix + name in changed or twin is None:
                continue
            if (twin.shape, twin.dtype, twin.device) == (parameter.shape, parameter.dtype, parameter.device):
                parameter.data = twin.data
                shared += parameter.nbytes
    return shared
