"""What can be wrong with the devices and the weights of this machine: one pure function per question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.checkpoints.profiles import ProfileState
from backend.doctor import Check

_GIB = 2**30


class Device(Protocol):
    """What :func:`models.list_devices` tells of a device."""

    @property
    def name(self) -> str:
        """As the settings name it."""

    @property
    def title(self) -> str:
        """What it is."""

    @property
    def free_bytes(self) -> int | None:
        """Memory nobody uses, where it is told."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A published file in the store.

    Args:
        name: of its checkpoint.
        size: in bytes, of what is there.
        expected: in bytes, where it is known.
        is_partial: the download broke off.
    """

    name: str
    size: int
    expected: int | None
    is_partial: bool = False


def check_devices(devices: Sequence[Device], wanted: str) -> Check:
    """Whether the device of the settings is there, and what there is.

    Args:
        devices: of this machine, the fastest first.
        wanted: the setting.
    """
    listed = ", ".join(f"{one.name} ({_described(one)})" for one in devices)
    names = {one.name for one in devices}
    if wanted == "auto":
        return Check("devices", "ok", f"{listed}; auto takes {devices[0].name}")
    if wanted in names or any(name.startswith(f"{wanted}:") for name in names):
        return Check("devices", "ok", f"{listed}; WORDMASK_DEVICE takes {wanted}")
    return Check(
        "devices", "fail", f"WORDMASK_DEVICE={wanted} is not here; there are {listed}", "set WORDMASK_DEVICE to auto, or to one of them"
    )


def _described(device: Device) -> str:
    return device.title if device.free_bytes is None else f"{device.title}, {device.free_bytes / _GIB:.0f} GiB free"


def check_weights(profile: str, state: ProfileState | None, version: str, problem: str) -> Check:
    """Whether the weights that the settings name can be served.

    Args:
        profile: the setting.
        state: of that profile; ``None`` where the setting is a folder.
        version: of the weights, empty where there are none.
        problem: why they cannot be used, empty where they can.
    """
    if not problem:
        place = f" in {state.weights}" if state is not None and state.weights is not None else ""
        return Check("weights", "ok", f"{profile} stands for {version}{place}")
    if state is not None and not state.ready:
        at_once = f"wordmask serve --profile {state.profile.name} --fetch"
        return Check("weights", "fail", f"those of profile {profile} are not here yet", f"{state.next_step}; or all of it: {at_once}")
    return Check("weights", "fail", problem, "set WORDMASK_PROFILE to a profile of `wordmask checkpoints list`, or to a weights folder")


def check_files(folder: str, files: Sequence[FileFacts]) -> Check:
    """Whether the published files are whole, by their size; digests are compared by ``wordmask checkpoints verify``."""
    name = "published files"
    if not files:
        return Check(name, "ok", f"none in {folder}; a profile that is converted needs them no more")
    odd = [file for file in files if not file.is_partial and file.expected is not None and file.size != file.expected]
    if odd:
        found = ", ".join(f"{file.name} has {file.size:,} bytes, expected {file.expected:,}" for file in odd)
        return Check(name, "fail", found, f"remove the file and run: wordmask checkpoints fetch {odd[0].name}")
    partial = [file.name for file in files if file.is_partial]
    if partial:
        return Check(name, "warn", f"only in part: {', '.join(partial)}", f"continue with: wordmask checkpoints fetch {' '.join(partial)}")
    held = ", ".join(file.name for file in files)
    return Check(name, "ok", f"{held}, {sum(file.size for file in files) / _GIB:.1f} GiB in {folder}, of the right size")
