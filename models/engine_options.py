"""How an engine computes, beside where: choices of the person who runs it, not of the weights. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Of the networks' products; see :func:`models.devices.choose_dtype` for ``auto``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """Choices with defaults that pay; the changelog and README name the measurements."""

    precision: Precision = "auto"
    compiled: bool = False
    """Run the blocks of SAM's image encoder through ``torch.compile``; needs a C++ compiler (on CUDA: Triton) and time when loading."""
    micro_batch: int | None = None
    """Most images of concurrent calls in one run of the encoders. ``None``: 8 where there is an accelerator, 1 (each call its own run) on
    the processor, which one image keeps busy."""
    micro_batch_wait_seconds: float = 0.004
    """How long a run that could start waits for calls that are still preparing their image."""

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.micro_batch < 1:
            raise ValueError(f"EngineOptions.micro_batch must be at least 1, found {self.micro_batch}")
        if self.micro_batch_wait_seconds < 0:
            raise ValueError(f"EngineOptions.micro_batch_wait_seconds must not be negative, found {self.micro_batch_wait_seconds}")

    def images_at_once(self, device_type: str) -> int:
        """Most images in one run of the encoders on a device of this type."""
        return self.micro_batch or (1 if device_type == "cpu" else 8)


DEFAULT_OPTIONS = EngineOptions()
