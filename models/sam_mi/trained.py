"""The trained mode: learned points, and a network that reads the masks, in place of rules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.devices import Compute
from models.sam_mi.aggregation import JoinedMasks
from models.sam_mi.canvas import move
from models.sam_mi.config import SamMiConfig
from models.sam_mi.correction import correct
from models.sam_mi.cost_map import Evidence, dense_features
from models.sam_mi.heat_points import points_at_peaks
from models.sam_mi.injection import MaskInput
from models.sam_mi.model import ImageMaps, SamMi
from models.sam_mi.presets import Preset
from models.sam_mi.proposer import Frames, Look, Proposer
from models.sam_mi.region_points import Points
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer


class TrainedProposer(Proposer):
    """As its base, with SAM-MI's network.

    Args:
        model: gives CLIP and SAM.
        network: trained behind these encoders.
        tokenizer: of the model.
        preset: thresholds that suit the model.
        compute: where and how precisely; the model is there already.

    Raises:
        ValueError: the network was made for other encoders.
    """

    def __init__(self, model: SspSam, network: SamMi, tokenizer: PhraseTokenizer, preset: Preset, compute: Compute) -> None:
        super().__init__(model, tokenizer, preset, compute)
        check_fits(network.config, model.config)
        self.network = network.to(compute.device).eval().requires_grad_(False)
        # Its convolutions see labels as images: without reordering their channels they take a third of the time, or less, on a processor.
        self.network.decoder.to(memory_format=torch.channels_last)

    def place_points(self, look: Look, features: ImageFeatures, frames: Frames) -> Points:
        """The prompter's peaks."""
        side = look.words.nothing.shape[-1] // 2
        if len(look.text) == 0:
            return super().place_points(look, features, frames)
        with self.compute.autocast():
            heat = self.network.point_logits(self._maps(features, frames), look.text)[0]
        return points_at_peaks(heat, look.regions, frames.clip, side, self.preset)

    def refine(self, look: Look, joined: JoinedMasks, features: ImageFeatures, frames: Frames) -> Evidence:
        """What the network sees, made even within the masks."""
        soft = joined.masks.soft if self.preset.inject_masks else joined.masks.soft[:0]
        masks = MaskInput(soft.unsqueeze(0), torch.ones(1, len(soft), dtype=torch.bool, device=soft.device))
        close = self._close(look)
        names, rivals = look.text[close], look.text[len(look.question.names) :]
        with self.compute.autocast():
            logits = self.network(self._maps(features, frames), torch.cat([names, rivals]), masks)[0].float()
        seen = correct(as_evidence(logits, len(close), self.preset.trained_yes), joined.masks, self.preset.trained_correction)
        labels = torch.zeros_like(look.words.labels)
        labels[close] = seen.labels
        return Evidence(labels, seen.nothing)

    def _close(self, look: Look) -> Tensor:
        """Which names are worth a closer look, int64 places in their order: the strongest."""
        strength = look.words.labels.amax(dim=(1, 2))
        most = min(self.preset.close_labels or len(strength), int((strength >= self.preset.close_probability).sum()))
        return strength.topk(most).indices.sort().values

    def _maps(self, features: ImageFeatures, frames: Frames) -> ImageMaps:
        return maps_of(features, frames, sam_embedding=self.network.config.sam_embedding)


def check_fits(network: SamMiConfig, encoders: SspSamConfig) -> None:
    """Raise ``ValueError`` unless the network can stand behind these encoders."""
    width = encoders.sam.out_channels
    guidance = (width, width) if network.sam_embedding else (width // 4, width // 8)
    found = (network.embed_dim, network.guidance)
    if network.taps is not None or not (network.sam_embedding or encoders.sam.high_resolution_skips):
        raise ValueError(
            f"network {network.name!r} behind encoders {encoders.name!r}: an engine takes the finer maps from SAM; choose a network with "
            "taps=None and either sam_embedding=True or encoders with high_resolution_skips"
        )
    if found != (encoders.clip.embed_dim, guidance):
        raise ValueError(
            f"network {network.name!r} expects an embedding of {found[0]} and guidance {found[1]}, but encoders {encoders.name!r} give "
            f"{encoders.clip.embed_dim} and {guidance}"
        )


def maps_of(features: ImageFeatures, frames: Frames, *, sam_embedding: bool) -> ImageMaps:
    """The maps of one image; the finer ones are SAM's, brought over CLIP's canvas.

    Args:
        features: of the image.
        frames: where the image lies on the canvases.
        sam_embedding: as in :class:`SamMiConfig`: SAM's embedding twice, or SAM's skips, which must be there.
    """
    sam = features.sam
    coarser, finer = (sam.embedding, sam.embedding) if sam_embedding else (sam.skip8, sam.skip4)
    if coarser is None or finer is None:
        raise ValueError("these encoders have no high-resolution skips; the network needs them, or sam_embedding=True")
    dense = dense_features(features.clip_tokens)
    side = dense.shape[-1]
    moved = (move(maps[0].float(), frames.sam, frames.clip, cells) for maps, cells in ((coarser, 2 * side), (finer, 4 * side)))
    return ImageMaps(dense, *(one.unsqueeze(0) for one in moved))


def stack_maps(maps: Sequence[ImageMaps]) -> ImageMaps:
    """Several images as one batch."""
    return ImageMaps(*(torch.cat(parts) for parts in zip(*maps, strict=True)))


def as_evidence(logits: Tensor, asked: int, least: float) -> Evidence:
    """Logits float ``[T + R, h, w]`` of names and their rivals; a label must beat the rivals and be more likely than ``least``."""
    probability = logits.sigmoid()
    rivals = torch.cat([probability[asked:], logits.new_full((1, *logits.shape[1:]), least)])
    return Evidence(probability[:asked], rivals.amax(dim=0))
