"""The devices of this machine, for people."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """One device that networks can run on."""

    name: str
    """As ``load_engine`` takes it: ``cpu``, ``cuda:0``, ``mps``."""
    title: str
    """What it is."""
    free_bytes: int | None = None
    """Memory nobody uses; ``None`` for those that share the machine's."""
    total_bytes: int | None = None


def list_devices() -> list[DeviceReport]:
    """All devices, those that ``auto`` prefers first."""
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(DeviceReport(f"cuda:{index}", torch.cuda.get_device_name(index), free, total))
    if torch.backends.mps.is_available():
        found.append(DeviceReport("mps", "Apple GPU"))
    return [*found, DeviceReport("cpu", f"processor, {torch.get_num_threads()} threads")]
