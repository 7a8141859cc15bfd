"""Whether a file is the checkpoint that the registry says: read without running anything, exactly of the declared names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from models.checkpoints.formats import clip_listing, sam_listing, unfilled_ssp_sam
from models.checkpoints.registry import Checkpoint
from models.ssp_sam.checkpoint import FROZEN_PARTS, UPSTREAM_CLIP_EXTRAS, FrozenPart, Layout, fit_official
from models.strict_weights import WeightsError, check_fit
from models.torch_files import damaged_record, read_checkpoint


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """What a file was found to hold."""

    tensors: int
    parameters: int
    """Numbers in all tensors."""
    layout: Layout | None
    """Of an SSP-SAM with CLIP; ``None`` where there is but one."""
    lacking: frozenset[FrozenPart]
    """Frozen parts of an SSP-SAM that it does not hold; they come from upstream's files."""
    beside: tuple[str, ...]
    """What lies beside the weights and is left out: ``optimizer``, ``args``, ..."""


def verify_checkpoint(path: Path, checkpoint: Checkpoint, *, check_records: bool = False) -> CheckpointReport:
    """Open a file under ``weights_only`` and mapped into memory, and hold it against the listing of its format.

    Args:
        path: the file; its name does not matter.
        checkpoint: what it should be.
        check_records: also compare the checksums inside the file, which reads all of it: for files whose SHA-256 nobody published.

    Raises:
        WeightsError: it cannot be read, is damaged, or holds something else; the message names the differences.
        ValueError: the registry names sizes that there are not.
    """
    content = read_checkpoint(path)
    if check_records and (record := damaged_record(path)) is not None:
        raise WeightsError(f"{path} is damaged: the checksum of its record {record} is wrong; get it anew")
    layout, lacking = _hold_against_listing(content.tensors, checkpoint, str(path))
    beside = tuple(name for name in content.beside if name != "model")
    parameters = sum(tensor.numel() for tensor in content.tensors.values())
    return CheckpointReport(len(content.tensors), parameters, layout, lacking, beside)


def _hold_against_listing(found: Mapping[str, Tensor], checkpoint: Checkpoint, label: str) -> tuple[Layout | None, frozenset[FrozenPart]]:
    sizes = checkpoint.sizes or ""
    remedy = f"It is not {checkpoint.title}: look for another file, or correct format and sizes of {checkpoint.name!r} in the registry"
    match checkpoint.format:
        case "ssp-sam":
            fit = fit_official(found, unfilled_ssp_sam(sizes), label=label, may_lack=FROZEN_PARTS)
            return None if "clip" in fit.lacking else fit.layout, fit.lacking
        case "sam":
            check_fit(found, sam_listing(sizes), source=label, remedy=remedy)
        case "openai-clip":
            named = {name: tensor for name, tensor in found.items() if name not in UPSTREAM_CLIP_EXTRAS}
            check_fit(named, clip_listing(sizes), source=label, remedy=remedy)
        case "state-dict":
            if not found:
                raise WeightsError(f"{label} holds an empty state dict; get it anew")
    return None, frozenset()
