"""Small networks with random weights, and inputs for them."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.sam_mi.config import SamMiConfig, contract
from models.sam_mi.config import tiny as tiny_network
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.injection import MaskInput
from models.sam_mi.model import ImageMaps, SamMi
from models.sam_mi.presets import Preset, tiny_preset
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.config import contract as contract_encoders
from models.ssp_sam.config import tiny as tiny_encoders
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from tests.models.ssp_sam.networks import perturbed

GRID = 4
TOKENIZER = PhraseTokenizer(16, vocabulary_of(["cat dog car tree house"]))

GENEROUS = replace(
    tiny_preset(), mask_iou=0.0, stability=0.0, mask_nms=0.95, score=0.0, background_cosine=0.0, close_probability=0.0, inject_masks=True
)
"""Random weights are sure of nothing; with these thresholds something always comes through."""


def random_network(config: SamMiConfig | None = None, *, open_gates: bool = False, seed: int = 0) -> SamMi:
    """A network of random weights; its gates are shut unless asked for otherwise."""
    torch.manual_seed(seed)
    made = SamMi(config or contract()).eval()
    if open_gates:
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if name.endswith(("_gate", ".gate")):
                    parameter.normal_()
    return made


def eager(network: SamMi) -> SamMi:
    """Says yes to most labels at most cells, and differently from cell to cell."""
    with torch.no_grad():
        network.decoder.head.weight.normal_(std=0.2)
        network.cost_bias.fill_(-0.1)
    return network


def maps(config: SamMiConfig | None = None, batch: int = 2, seed: int = 0) -> ImageMaps:
    config = config or contract()
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, config.embed_dim, GRID, GRID, generator=generator)
    finer = torch.randn(batch, config.guidance[0], 2 * GRID, 2 * GRID, generator=generator)
    finest = torch.randn(batch, config.guidance[1], 4 * GRID, 4 * GRID, generator=generator)
    return ImageMaps(features, finer, finest)


def texts(count: int, config: SamMiConfig | None = None, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, (config or contract()).embed_dim, generator=generator), dim=1)


def masks(batch: int = 2, count: int = 3, *, valid: bool = True, seed: int = 2) -> MaskInput:
    generator = torch.Generator().manual_seed(seed)
    return MaskInput(torch.rand(batch, count, 4 * GRID, 4 * GRID, generator=generator), torch.full((batch, count), valid))


def encoders(config: SspSamConfig | None = None) -> SspSam:
    """CLIP and SAM of random weights that differ from cell to cell and from word to word."""
    config = config or contract_encoders()
    clip = replace(config.clip, vocab_size=TOKENIZER.vocab_size, context_length=TOKENIZER.context_length)
    return perturbed(replace(config, clip=clip))


def engine(
    preset: Preset = GENEROUS,
    *,
    trained: bool = False,
    model: SspSam | None = None,
    network: SamMi | None = None,
    tokenizer: PhraseTokenizer = TOKENIZER,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> SamMiEngine:
    """An engine of odd sizes whose canvases differ; the trained one stands behind encoders with skips, as it must."""
    if trained and network is None:
        network = eager(random_network(tiny_network(), open_gates=True))
    return SamMiEngine(
        model or encoders(tiny_encoders() if trained else None),
        tokenizer,
        preset,
        network,
        name="random",
        version="random-1",
        device=torch.device("cpu"),
        thresholds=Thresholds(presence=0.0),
        cache=EmbeddingCache(2**24),
        options=options,
    )
