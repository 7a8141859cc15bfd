"""SSP-SAM's engine that also takes lists of labels: one pair of encoders, one cache, two ways to ask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.proposals import EVERYTHING, ProposalOptions, Proposals
from models.sam_mi.model import SamMi
from models.sam_mi.presets import Preset
from models.sam_mi.proposer import Frames, Proposer
from models.sam_mi.trained import TrainedProposer
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.types import RgbImage, check_rgb_image

PREFIX = "sam_mi."
"""Before the names of SAM-MI's tensors in a weights file; all others are SSP-SAM's."""


class SamMiEngine(SspSamEngine):
    """Answers phrases, clicks and boxes as SSP-SAM does, and label lists. An image that either way has seen is encoded for both.

    Args:
        model: the networks.
        tokenizer: with the model's vocabulary.
        preset: thresholds for label lists.
        network: trained for label lists; ``None``: they are answered without training.
        name: of the profile.
        version: of the weights; part of every cache key.
        device: where to compute.
        thresholds: when a phrase counts as answered.
        cache: of image features.
        options: how to compute.
        prefers_lists: see :class:`models.proposals.ProposingEngine`.
    """

    def __init__(
        self,
        model: SspSam,
        tokenizer: PhraseTokenizer,
        preset: Preset,
        network: SamMi | None = None,
        *,
        name: str,
        version: str,
        device: torch.device,
        thresholds: Thresholds,
        cache: EmbeddingCache,
        options: EngineOptions = DEFAULT_OPTIONS,
        prefers_lists: bool = True,
    ) -> None:
        super().__init__(model, tokenizer, name=name, version=version, device=device, thresholds=thresholds, cache=cache, options=options)
        self._prefers_lists = prefers_lists
        self._proposer = Proposer(self._model, tokenizer, preset, self._compute)
        self._network = network
        if network is not None:
            self._proposer = TrainedProposer(self._model, network, tokenizer, preset, self._compute)

    def networks(self) -> dict[str, nn.Module]:
        """See :meth:`models.ssp_sam.engine.SspSamEngine.networks`."""
        own: dict[str, nn.Module] = {} if self._network is None else {PREFIX: self._network}
        return super().networks() | own

    @property
    def prefers_lists(self) -> bool:
        """See :class:`models.proposals.ProposingEngine`."""
        return self._prefers_lists

    def propose(
        self, image: RgbImage, labels: Sequence[str], *, background: Sequence[str] = (), options: ProposalOptions = EVERYTHING
    ) -> Proposals:
        """See :class:`models.proposals.ProposingEngine`."""
        check_rgb_image(image)
        frames = Frames.of((image.shape[0], image.shape[1]), self._model.config)
        with self._answering():
            return self._proposer.propose(self._images.features(image), frames, labels, background, options)
