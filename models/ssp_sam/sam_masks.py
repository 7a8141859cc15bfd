"""SAM's two halves for SSP-SAM: image -> features once, prompts -> masks in a batch (spec section 3.6).

The stock ``MaskDecoder.forward`` repeats one image for all prompts. Here every prompt set comes with its own image features, so phrases of
many images decode together; the stock sub-modules do all the work, and only the single mask (token 0) that SSP-SAM uses is computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from models.conv_stem import ConvStem
from models.devices import in_float32
from models.ssp_sam.config import SamConfig
from models.ssp_sam.mask_drawing import draw_masks
from models.ssp_sam.point_reader import PointReader
from models.ssp_sam.sam_encoder import ImageEncoder
from models.ssp_sam.skip_pyramid import SkipPyramid


class SamFeatures(NamedTuple):
    """What SAM knows of ``B`` images; the skips of one image stand for all prompt sets when it is repeated."""

    embedding: Tensor
    """float ``[B, d, G, G]``."""
    skip8: Tensor | None = None
    """float ``[B or 1, d / 4, 2G, 2G]``; only with high-resolution skips."""
    skip4: Tensor | None = None
    """float ``[B or 1, d / 8, 4G, 4G]``; only with high-resolution skips."""

    def select(self, index: Tensor) -> SamFeatures:
        """Features of the images ``index``, int64 ``[K]``, one per prompt set."""
        skips = (None if part is None else part[index] for part in (self.skip8, self.skip4))
        return SamFeatures(self.embedding[index], *skips)

    def repeat(self, count: int) -> SamFeatures:
        """One image's features for ``count`` prompt sets, without copying them."""
        return self._replace(embedding=self.embedding.expand(count, -1, -1, -1))


class StemmedImageEncoder(ImageEncoder):
    """SAM's image encoder behind a convolutional stem, whose finer features can join the mask decoder's upscaling."""

    def __init__(self, stem: tuple[int, ...], width: int, out_channels: int, *, skips: bool, **kwargs: object) -> None:
        super().__init__(embed_dim=width, out_chans=out_channels, **kwargs)
        self.patch_embed = ConvStem(stem, width)
        self.skips = SkipPyramid(stem, out_channels) if skips else None

    def features(self, image: Tensor) -> SamFeatures:
        """float ``[B, 3, S, S]`` -> features at strides 16, 8 and 4."""
        stride4, stride8, stride16 = self.patch_embed.pyramid(image)
        embedding = self.encode_patches(stride16.permute(0, 2, 3, 1))
        if self.skips is None:
            return SamFeatures(embedding)
        return SamFeatures(embedding, *self.skips(embedding, stride8, stride4))

    def forward(self, image: Tensor) -> Tensor:
        """float ``[B, 3, S, S]`` -> float ``[B, d, G, G]``."""
        return self.features(image).embedding


class ReadingPromptEncoder(PromptEncoder):  # type: ignore[misc]  # the package has no types
    """SAM's prompt encoder with a reader of what lies under a prompt."""

    def __init__(self, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(embed_dim=embed_dim, **kwargs)
        self.point_reader = PointReader(embed_dim)


def build_sam(config: SamConfig) -> Sam:
    """SAM of any size from the stock classes; names of weights are the stock ones."""
    shared = {
        "img_size": config.image_size, "patch_size": config.patch_size, "depth": config.depth, "num_heads": config.heads,
        "mlp_ratio": 4, "qkv_bias": True, "use_rel_pos": config.use_rel_pos, "window_size": config.window_size,
        "global_attn_indexes": config.global_blocks,
    }  # fmt: skip
    # eps and norm as in the stock builders.
    shared["norm_layer"] = lambda width: nn.LayerNorm(width, eps=1e-6)
    if config.conv_stem is None:
        encoder = ImageEncoder(embed_dim=config.width, out_chans=config.out_channels, **shared)
    else:
        encoder = StemmedImageEncoder(config.conv_stem, config.width, config.out_channels, skips=config.high_resolution_skips, **shared)
    prompts = (ReadingPromptEncoder if config.point_features else PromptEncoder)(
        embed_dim=config.out_channels,
        image_embedding_size=(config.grid, config.grid),
        input_image_size=(config.image_size, config.image_size),
        mask_in_chans=config.mask_in_channels,
    )
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=config.decoder_depth,
            embedding_dim=config.out_channels,
            mlp_dim=config.decoder_mlp_dim,
            num_heads=config.decoder_heads,
        ),
        transformer_dim=config.out_channels,
        iou_head_depth=3,
        iou_head_hidden_dim=config.iou_head_hidden_dim,
    )
    return Sam(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)


def encode_image(sam: Sam, image: Tensor) -> SamFeatures:
    """float ``[B, 3, S, S]``, SAM-normalised and padded -> features."""
    encoder = sam.image_encoder
    return encoder.features(image) if isinstance(encoder, StemmedImageEncoder) else SamFeatures(encoder(image))


def positional_code(sam: Sam) -> Tensor:
    """SAM's code of every cell of its grid, float ``[N, d]``, row by row."""
    return _dense_code(sam.prompt_encoder)[0].flatten(1).transpose(0, 1)


def cell_prompts(sam: Sam, features: SamFeatures) -> Tensor:
    """What a click on each cell of SAM's grid says besides being one, float ``[N, d]`` or, where clicks read images, ``[K, N, d]``."""
    code = positional_code(sam)
    encoder = sam.prompt_encoder
    return code + encoder.point_reader.cells(features) if isinstance(encoder, ReadingPromptEncoder) else code


def _dense_code(encoder: PromptEncoder) -> Tensor:
    """The code as a map, float32 ``[1, d, G, G]``."""
    # Sines of many times the coordinate: rounded before the sine, neighbouring cells would get each other's code.
    with in_float32(encoder.no_mask_embed.weight.device):
        code: Tensor = encoder.get_dense_pe()
    return code


def decode_masks(sam: Sam, features: SamFeatures, sparse_prompt_embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Decode one mask per prompt set.

    Args:
        sam: the model; only its prompt encoder and mask decoder are used.
        features: of ``K`` images, one per prompt set.
        sparse_prompt_embeddings: float ``[K, n, d]``.

    Returns:
        low-resolution logits float ``[K, 4G, 4G]`` and predicted IoU float ``[K]``.
    """
    logits, predicted_iou = decode_tokens(sam, features, sparse_prompt_embeddings, (0,))
    return logits[:, 0], predicted_iou[:, 0]


def decode_tokens(sam: Sam, features: SamFeatures, sparse_prompt_embeddings: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Decode several masks per prompt set; arguments as for :func:`decode_masks`.

    Args:
        numbers: which of SAM's masks: 0 is the one for unambiguous prompts, 1 to 3 are whole, part and subpart of what one click marks.

    Returns:
        low-resolution logits float ``[K, m, 4G, 4G]`` and predicted IoU float ``[K, m]``.
    """
    decoder, encoder = sam.mask_decoder, sam.prompt_encoder
    batch = len(sparse_prompt_embeddings)
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(batch, -1, -1)
    tokens = torch.cat([output_tokens, sparse_prompt_embeddings], dim=1)
    no_mask = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    # The decoder reads maps cell by cell; left channel by channel, all its sums and norms would stride through memory.
    source = (features.embedding + no_mask).contiguous(memory_format=torch.channels_last)
    image_pe = _dense_code(encoder).contiguous(memory_format=torch.channels_last).expand(batch, -1, -1, -1)

    answers, source = decoder.transformer(source, image_pe, tokens)
    filters = torch.stack([decoder.output_hypernetworks_mlps[number](answers[:, 1 + number]) for number in numbers], dim=1)
    logits = draw_masks(decoder, source, filters, features.skip8, features.skip4)
    return logits, decoder.iou_prediction_head(answers[:, 0])[:, list(numbers)]


POINT_NEGATIVE, POINT_POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, NOT_A_POINT = 0, 1, 2, 3, -1
"""SAM's labels of prompt coordinates."""


def embed_prompts(sam: Sam, features: SamFeatures, coordinates: Tensor, labels: Tensor) -> Tensor:
    """Clicks and box corners as sparse prompts, mixed freely in one batch.

    The stock encoder takes one kind at a time; its code and its embeddings are used as they are.

    Args:
        sam: only its prompt encoder is used.
        features: of ``K`` images, one per prompt set; read with the switch ``point_features`` only.
        coordinates: float ``[K, n, 2]``, x and y in pixels of SAM's canvas.
        labels: int64 ``[K, n]``: 1 positive, 0 negative, 2 and 3 corners of a box, -1 padding.

    Returns:
        sparse prompt embeddings float ``[K, n, d]``.
    """
    encoder = sam.prompt_encoder
    # Half a pixel: coordinates name pixels, the code wants their centres.
    with in_float32(coordinates.device):
        code = encoder.pe_layer.forward_with_coords(coordinates + 0.5, encoder.input_image_size)
    if isinstance(encoder, ReadingPromptEncoder):
        code = code + encoder.point_reader(features, coordinates, encoder.input_image_size[0])
    code = code * (labels != NOT_A_POINT).unsqueeze(-1)
    kinds = torch.cat([*(embedding.weight for embedding in encoder.point_embeddings), encoder.not_a_point_embed.weight])
    embedded: Tensor = code + kinds[labels]  # label -1 picks the last row
    return embedded
