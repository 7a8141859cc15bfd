"""Public CLIP and SAM with nothing trained on top of them (spec section 7): lists of labels, and words as lists of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.proposals import EVERYTHING, ProposalOptions, Proposals
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.presets import preset_for
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import read_manifest
from models.types import Box, RgbImage, Segment
from models.uninitialised import Uninitialised
from models.weights_folder import WeightsFolder
from models.weights_tensors import load_weights

ARCHITECTURE = "zero-shot"
"""Of a folder that holds CLIP and SAM and nothing else."""

_PARTS = ("clip.", "sam.")


class ZeroShotEngine:
    """Answers label lists without training, clicks and boxes as SAM does. A phrase is a list of one label: no relation in it is understood.

    Args:
        engine: of both encoders; its head, which has no weights, is never called.
    """

    def __init__(self, engine: SamMiEngine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._engine.name

    @property
    def version(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._engine.version

    @property
    def placement(self) -> Mapping[str, str]:
        """See :class:`models.engine.PlacedEngine`."""
        return self._engine.placement

    @property
    def prefers_lists(self) -> bool:
        """See :class:`models.proposals.ProposingEngine`."""
        return self._engine.prefers_lists

    def propose(
        self, image: RgbImage, labels: Sequence[str], *, background: Sequence[str] = (), options: ProposalOptions = EVERYTHING
    ) -> Proposals:
        """See :class:`models.proposals.ProposingEngine`."""
        return self._engine.propose(image, labels, background=background, options=options)

    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        """See :meth:`models.engine.Engine.segment`."""
        return [[one.segment() for one in self.propose(image, [phrase] if phrase.strip() else []).proposals] for phrase in phrases]

    def segment_from_points(
        self, image: RgbImage, points: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_], box: Box | None = None
    ) -> list[Segment]:
        """See :meth:`models.engine.Engine.segment_from_points`."""
        return self._engine.segment_from_points(image, points, is_positive, box)

    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        """See :meth:`models.engine.Engine.segment_from_boxes`."""
        return self._engine.segment_from_boxes(image, boxes)

    def describe(self, image: RgbImage) -> npt.NDArray[np.float32]:
        """See :meth:`models.image_vectors.DescribingEngine.describe`."""
        return self._engine.describe(image)


def build_engine(
    folder: WeightsFolder, device: torch.device, cache: EmbeddingCache, options: EngineOptions = DEFAULT_OPTIONS
) -> ZeroShotEngine:
    """An engine from a weights folder of CLIP and SAM.

    Raises:
        WeightsError: manifest or weights are not those of networks that this code can build.
    """
    config, tokenizer, thresholds = read_manifest(folder)
    with Uninitialised():
        model = SspSam(config)
    load_weights(folder, encoder_tensors(model))
    engine = SamMiEngine(
        model,
        tokenizer,
        preset_for(config.name),
        name=folder.name,
        version=folder.version,
        device=device,
        thresholds=thresholds,
        cache=cache,
        options=options,
    )
    return ZeroShotEngine(engine)


def encoder_tensors(model: SspSam) -> dict[str, Tensor]:
    """The tensors that such a folder holds, by our names."""
    return {name: tensor for name, tensor in model.state_dict().items() if name.startswith(_PARTS)}
