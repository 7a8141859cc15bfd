"""The published forward a second time: official names in, numbers out, one sample at a time, straight from the formulas.

It shares no code with ``models``: no module, no attention helper, no batching. Where both agree, a slip would have to have been made twice
in different words. Section numbers are those of the specification of SSP-SAM's network. ``mistake`` injects one of the slips that are easy
to make when the paper is read without the code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.ssp_sam.config import SspSamConfig

MISTAKES = (
    "norm over channels",
    "norm without the class token",
    "class token from the new path",
    "no surgery",
    "feed-forward on the new path",
    "new path reads itself",
    "GELU for QuickGELU",
    "sentence from the last position",
    "similarity not stretched",
    "similarity not applied",
    "activation after the patch MLP",
    "GRU without padding",
    "GRU directions swapped",
    "padding heard by the phrase",
    "padding heard by the patches",
    "sigma not squared",
    "cosine without Gaussian",
    "norm after the product",
    "no tanh",
    "patches column by column",
    "prompts shifted by one",
    "patches before prompts",
    "positions on values",
    "positions only once",
    "norm before the sum",
    "no last norm",
    "no no-mask embedding",
    "second mask token",
)


@dataclass(frozen=True)
class Numbers:
    """Counts that a state dict does not tell."""

    vision_heads: int
    text_heads: int
    surgery_blocks: int
    mixing_heads: int
    generator_heads: int
    decoder_heads: int
    sam_side: int

    @classmethod
    def of(cls, config: SspSamConfig) -> Numbers:
        return cls(
            config.clip.vision_heads, config.clip.text_heads, config.clip.surgery_blocks, config.head.mixing_heads,
            config.head.generator_heads, config.sam.decoder_heads, config.sam.image_size,
        )  # fmt: skip


class PublishedForward:
    """State dict in the saved layout -> box and mask logits of one sample."""

    def __init__(self, weights: Mapping[str, Tensor], numbers: Numbers, mistake: str | None = None) -> None:
        assert mistake is None or mistake in MISTAKES
        self.w = weights
        self.n = numbers
        self.mistake = mistake

    def __call__(self, clip_image: Tensor, ids: Tensor, sam_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """``[3, S, S]``, ``[T]``, ``[d, G, G]`` -> box ``[4]``, mask logits ``[M, M]``."""
        tokens = self.vision(clip_image)
        sentence, words = self.text(ids)
        padding = ids == 0

        # 4.1: every channel is divided by its length over all tokens
        if self.mistake == "norm over channels":
            normed = tokens / tokens.pow(2).sum(1, keepdim=True).sqrt()
        elif self.mistake == "norm without the class token":
            normed = tokens / tokens[1:].pow(2).sum(0, keepdim=True).sqrt()
        else:
            normed = tokens / tokens.pow(2).sum(0, keepdim=True).sqrt()
        patches = normed[1:]
        similarity = patches @ (sentence / sentence.pow(2).sum().sqrt())
        if self.mistake != "similarity not stretched":
            similarity = (similarity - similarity.min()) / (similarity.max() - similarity.min())
        if self.mistake != "similarity not applied":
            patches = patches * similarity[:, None]
        z = self.mlp("clip_img_proj", 3, patches)
        if self.mistake == "activation after the patch MLP":
            z = z.clamp(min=0)

        e = self.linear("clip_proj", words)
        y = self.phrase(e, padding)
        f = self.verify(z, e, padding)
        box_token, prompts = self.generate(f, y)
        cxcywh = 1 / (1 + torch.exp(-self.mlp("bbox_embed", 3, box_token)))
        return cxcywh, self.masks(prompts, sam_embedding)

    # ---- 3.3: CLIP with surgery

    def vision(self, image: Tensor) -> Tensor:
        start = "encoder.visual."
        kernel = self.w[start + "conv1.weight"]
        width, _, patch, _ = kernel.shape
        grid = image.shape[1] // patch
        cells = image.reshape(3, grid, patch, grid, patch).permute(1, 3, 0, 2, 4)
        if self.mistake == "patches column by column":
            cells = cells.transpose(0, 1)
        x = cells.reshape(grid * grid, -1) @ kernel.reshape(width, -1).T
        x = torch.cat([self.w[start + "class_embedding"][None], x]) + self.w[start + "positional_embedding"]
        original = self.norm(start + "ln_pre", x)
        layers = 1 + max(int(k.split(".")[4]) for k in self.w if k.startswith(start + "transformer.resblocks."))
        new = None
        for i in range(layers):
            block = f"{start}transformer.resblocks.{i}."
            if i < layers - self.n.surgery_blocks:
                original = self.clip_block(block, original, self.n.vision_heads, ("attn.in_proj_", "attn.out_proj"))
                continue
            new = original if new is None else new
            read = self.norm(block + "ln_1", new if self.mistake == "new path reads itself" else original)
            _, _, u = (read @ self.w[block + "attn.qkv.weight"].T + self.w[block + "attn.qkv.bias"]).chunk(3, dim=-1)
            seen = self.linear(block + "attn.proj", self.attention(u, u, u, self.n.vision_heads))
            original = self.clip_block(block, original, self.n.vision_heads, ("attn.qkv.", "attn.proj"))
            new = new + seen
            if self.mistake == "feed-forward on the new path":
                new = new + self.clip_mlp(block, new)
        assert new is not None
        if self.mistake == "no surgery":
            new = original
        class_token = new[:1] if self.mistake == "class token from the new path" else original[:1]
        return self.norm(start + "ln_post", torch.cat([class_token, new[1:]])) @ self.w[start + "proj"]

    def text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.w["encoder.token_embedding.weight"][ids] + self.w["encoder.positional_embedding"]
        layers = 1 + max(int(k.split(".")[3]) for k in self.w if k.startswith("encoder.transformer.resblocks."))
        for i in range(layers):
            names = ("attn.in_proj_", "attn.out_proj")
            x = self.clip_block(f"encoder.transformer.resblocks.{i}.", x, self.n.text_heads, names, causal=True)
        words = self.norm("encoder.ln_final", x)
        end = len(ids) - 1 if self.mistake == "sentence from the last position" else int(ids.argmax())
        return words[end] @ self.w["encoder.text_projection"], words

    def clip_block(self, block: str, x: Tensor, heads: int, names: tuple[str, str], *, causal: bool = False) -> Tensor:
        y = self.norm(block + "ln_1", x)
        q, k, v = (y @ self.w[block + names[0] + "weight"].T + self.w[block + names[0] + "bias"]).chunk(3, dim=-1)
        hidden = torch.ones(len(x), len(x), dtype=torch.bool).triu(1) if causal else None
        x = x + self.linear(block + names[1], self.attention(q, k, v, heads, hidden))
        return x + self.clip_mlp(block, x)

    def clip_mlp(self, block: str, x: Tensor) -> Tensor:
        h = self.linear(block + "mlp.c_fc", self.norm(block + "ln_2", x))
        h = gelu(h) if self.mistake == "GELU for QuickGELU" else h / (1 + torch.exp(-1.702 * h))
        return self.linear(block + "mlp.c_proj", h)

    # ---- 4.2: the phrase

    def phrase(self, e: Tensor, padding: Tensor) -> Tensor:
        read = e[~padding] if self.mistake == "GRU without padding" else e
        forward = self.gru(read, "")
        backward = self.gru(read.flip(0), "_reverse").flip(0)
        pair = [backward, forward] if self.mistake == "GRU directions swapped" else [forward, backward]
        score = self.linear("phrase_attn.fc", torch.cat(pair, dim=1))[:, 0]
        weight = torch.exp(score - score.max())
        weight = weight / weight.sum()
        e, padding = e[: len(read)], padding[: len(read)]
        if self.mistake != "padding heard by the phrase":
            weight = weight * ~padding
            weight = weight / weight.sum()
        return (weight[:, None] * e).sum(0)

    def gru(self, x: Tensor, direction: str) -> Tensor:
        names = [f"text_proj.{part}_l0{direction}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        wi, wh, bi, bh = (self.w[name] for name in names)
        h = torch.zeros(wh.shape[1])
        states = []
        for row in x:
            ir, iz, i_n = (wi @ row + bi).chunk(3)
            hr, hz, hn = (wh @ h + bh).chunk(3)
            reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            h = (1 - update) * torch.tanh(i_n + reset * hn) + update * h
            states.append(h)
        return torch.stack(states)

    # ---- 4.3: word-level verification

    def verify(self, z: Tensor, e: Tensor, padding: Tensor) -> Tensor:
        hidden = None if self.mistake == "padding heard by the patches" else padding.expand(len(z), -1)
        u = self.torch_attention("img2text_attn", z, e, e, self.n.mixing_heads, hidden)
        k = self.linear("imgtext_proj.layers.0", u)
        q = self.linear("img_proj.layers.0", z)
        c = (q * k).sum(1) / (q.pow(2).sum(1).sqrt() * k.pow(2).sum(1).sqrt())
        sigma = self.w["tf_sigma"] if self.mistake == "sigma not squared" else self.w["tf_sigma"] ** 2
        v = self.w["tf_scale"] * torch.exp(-((1 - c) ** 2) / (2 * sigma))
        if self.mistake == "cosine without Gaussian":
            v = c
        if self.mistake == "norm after the product":
            return self.norm("norm_img", z * v[:, None])
        return self.norm("norm_img", z) * v[:, None]

    # ---- 4.4: prompt generator

    def generate(self, f: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        product = f * y if self.mistake == "no tanh" else torch.tanh(f) * torch.tanh(y)
        x = self.linear("mlp", product)
        prompts = self.w["prompt_token.weight"]
        parts = [x, prompts] if self.mistake == "patches before prompts" else [prompts, x]
        src = torch.cat([self.w["reg_token.weight"], *parts])
        pos = self.w["vl_pos_embed.weight"]
        if self.mistake == "positions only once":
            src, pos = src + pos, torch.zeros_like(pos)
        layers = 1 + max(int(k.split(".")[3]) for k in self.w if k.startswith("vl_transformer."))
        for i in range(layers):
            src = self.generator_layer(f"vl_transformer.encoder.layers.{i}.", src, pos)
        h = src if self.mistake == "no last norm" else self.norm("norm", src)
        first = 1 + (len(x) if self.mistake == "patches before prompts" else 0)
        first += self.mistake == "prompts shifted by one"
        return h[0], h[first : first + len(prompts)]

    def generator_layer(self, layer: str, src: Tensor, pos: Tensor) -> Tensor:
        pre = self.mistake == "norm before the sum"
        x = self.norm(layer + "norm1", src) if pre else src
        value = x + pos if self.mistake == "positions on values" else x
        heard = self.torch_attention(layer + "self_attn", x + pos, x + pos, value, self.n.generator_heads)
        src = src + heard if pre else self.norm(layer + "norm1", src + heard)
        x = self.norm(layer + "norm2", src) if pre else src
        x = self.linear(layer + "linear2", self.linear(layer + "linear1", x).clamp(min=0))
        return src + x if pre else self.norm(layer + "norm2", src + x)

    # ---- 3.6 and 4.6: SAM's prompt encoder and mask decoder

    def masks(self, prompts: Tensor, embedding: Tensor) -> Tensor:
        start = "sam.mask_decoder."
        d, grid, _ = embedding.shape
        if self.mistake != "no no-mask embedding":
            embedding = embedding + self.w["sam.prompt_encoder.no_mask_embed.weight"].reshape(d, 1, 1)
        queries = torch.cat([self.w[start + "iou_token.weight"], self.w[start + "mask_tokens.weight"], prompts])
        queries, keys = self.two_way(queries, embedding.reshape(d, -1).T, self.dense_positions(grid))
        picture = keys.T.reshape(d, grid, grid)
        picture = self.upsample(start + "output_upscaling.0", picture)
        mean, variance = picture.mean(0), picture.var(0, unbiased=False)
        picture = (picture - mean) / torch.sqrt(variance + 1e-6)
        weight, bias = (self.w[f"{start}output_upscaling.1.{name}"][:, None, None] for name in ("weight", "bias"))
        picture = gelu(self.upsample(start + "output_upscaling.3", gelu(picture * weight + bias)))
        mask = 1 if self.mistake == "second mask token" else 0
        filters = self.mlp(f"{start}output_hypernetworks_mlps.{mask}", 3, queries[1 + mask])
        low_res = (filters[:, None, None] * picture).sum(0)
        square = F.interpolate(low_res[None, None], (self.n.sam_side,) * 2, mode="bilinear", align_corners=False)
        return F.interpolate(square, (self.n.sam_side // 2,) * 2, mode="bilinear", align_corners=False)[0, 0]

    def two_way(self, queries: Tensor, keys: Tensor, key_pos: Tensor) -> tuple[Tensor, Tensor]:
        start = "sam.mask_decoder.transformer."
        query_pos = queries
        layers = 1 + max(int(k.split(".")[4]) for k in self.w if k.startswith(start + "layers."))
        for i in range(layers):
            layer = f"{start}layers.{i}."
            if i == 0:  # the first self-attention replaces, and has no positions
                queries = self.sam_attention(layer + "self_attn", queries, queries, queries)
            else:
                placed = queries + query_pos
                queries = queries + self.sam_attention(layer + "self_attn", placed, placed, queries)
            queries = self.norm(layer + "norm1", queries)
            heard = self.sam_attention(layer + "cross_attn_token_to_image", queries + query_pos, keys + key_pos, keys)
            queries = self.norm(layer + "norm2", queries + heard)
            hidden = self.linear(layer + "mlp.lin1", queries).clamp(min=0)
            queries = self.norm(layer + "norm3", queries + self.linear(layer + "mlp.lin2", hidden))
            heard = self.sam_attention(layer + "cross_attn_image_to_token", keys + key_pos, queries + query_pos, queries)
            keys = self.norm(layer + "norm4", keys + heard)
        heard = self.sam_attention(start + "final_attn_token_to_image", queries + query_pos, keys + key_pos, keys)
        return self.norm(start + "norm_final_attn", queries + heard), keys

    def dense_positions(self, grid: int) -> Tensor:
        centres = 2 * (torch.arange(grid) + 0.5) / grid - 1
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        matrix = self.w["sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
        angles = 2 * math.pi * (torch.stack([x, y], dim=-1).reshape(-1, 2) @ matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def sam_attention(self, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = self.linear(name + ".q_proj", q), self.linear(name + ".k_proj", k), self.linear(name + ".v_proj", v)
        return self.linear(name + ".out_proj", self.attention(q, k, v, self.n.decoder_heads))

    def upsample(self, name: str, x: Tensor) -> Tensor:
        kernel = self.w[name + ".weight"]  # [in, out, 2, 2], stride 2: every pixel becomes a 2 x 2 square
        squares = torch.einsum("cij,coab->oiajb", x, kernel)
        return squares.reshape(kernel.shape[1], 2 * x.shape[1], -1) + self.w[name + ".bias"][:, None, None]

    # ---- small parts

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def mlp(self, name: str, layers: int, x: Tensor) -> Tensor:
        for i in range(layers):
            x = self.linear(f"{name}.layers.{i}", x if i == 0 else x.clamp(min=0))
        return x

    def norm(self, name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5)
        return scaled * self.w[name + ".weight"] + self.w[name + ".bias"]

    def torch_attention(self, name: str, q: Tensor, k: Tensor, v: Tensor, heads: int, hidden: Tensor | None = None) -> Tensor:
        weights, biases = self.w[name + ".in_proj_weight"].chunk(3), self.w[name + ".in_proj_bias"].chunk(3)
        q, k, v = (x @ weight.T + bias for x, weight, bias in zip((q, k, v), weights, biases, strict=True))
        return self.linear(name + ".out_proj", self.attention(q, k, v, heads, hidden))

    @staticmethod
    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, hidden: Tensor | None = None) -> Tensor:
        answers = []
        for qh, kh, vh in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
            logits = qh @ kh.T / math.sqrt(qh.shape[1])
            if hidden is not None:
                logits = logits.masked_fill(hidden, -math.inf)
            weights = torch.exp(logits - logits.max(-1, keepdim=True).values)
            answers.append(weights / weights.sum(-1, keepdim=True) @ vh)
        return torch.cat(answers, dim=-1)


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
