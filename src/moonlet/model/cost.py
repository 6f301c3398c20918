"""What the model costs, from its config alone: parameters, bytes, memory traffic and arithmetic.

Sizes are those of the published format (INT4 group-32 experts, BF16 rest) and of the on-load INT8 option. For K2.5:
1,026.9 B parameters with the vision part, 31.69 B active, 595 GB, 68.6 KiB of cache a token.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from moonlet.config import ModelConfig, TextConfig, VisionConfig
from moonlet.formats import BF16, F32, INT4_G32, INT8_G32, NumberFormat
from moonlet.model.vision.input import Grid

CACHE_ELEMENT_BYTES = 2
"""Bytes of a cached value: the latent cache is F16, but float32 on the reference path."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A quantity (parameters or bytes) by the part of the model it belongs to."""

    embedding: int
    attention: int
    dense_mlp: int
    shared_experts: int
    routed_experts: int
    router: int
    norms: int
    lm_head: int
    vision: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return sum(getattr(self, part.name) for part in fields(self))

    @property
    def non_expert(self) -> int:
        """Everything but the routed experts: what has to stay in fast memory."""
        return self.total - self.routed_experts


def parameters(config: ModelConfig) -> Parts:
    """Parameters of the whole model, the vision part included."""
    text = config.text
    expert = 3 * text.hidden_size * text.moe_intermediate_size
    return Parts(
        embedding=text.vocab_size * text.hidden_size,
        attention=text.num_hidden_layers * (_attention_linears(text) + _kv_b(text)),
        dense_mlp=_num_dense_layers(text) * 3 * text.hidden_size * text.intermediate_size,
        shared_experts=text.num_moe_layers * text.n_shared_experts * expert,
        routed_experts=text.num_moe_layers * text.n_routed_experts * expert,
        router=text.num_moe_layers * text.n_routed_experts * (text.hidden_size + 1),
        norms=_norms(text),
        lm_head=text.vocab_size * text.hidden_size,
        vision=0 if config.vision is None else _vision(config.vision),
    )


def active_parameters(config: ModelConfig) -> int:
    """Parameters one token of text is multiplied by: the chosen experts and all else but embeddings and vision."""
    counts = parameters(config)
    chosen = counts.routed_experts // config.text.n_routed_experts * config.text.num_experts_per_tok
    return counts.non_expert - counts.embedding - counts.vision + chosen


def weight_bytes(config: ModelConfig, dense: str = "bf16") -> Parts:
    """Bytes of the weights in memory.

    dense: "bf16" for the linears as stored, "int8" for those made INT8 while loading (all but the router and
    kv_b_proj, which attention uses from both sides). Packed experts count their scales, not the 8-byte shape records.
    """
    counts, text = parameters(config), config.text
    linear = INT8_G32 if dense == "int8" else BF16
    experts = BF16 if config.quantization is None else INT4_G32
    bias = text.num_moe_layers * text.n_routed_experts
    kv_b = text.num_hidden_layers * _kv_b(text)
    return Parts(
        embedding=_bytes(BF16, counts.embedding),
        attention=_bytes(linear, counts.attention - kv_b) + _bytes(BF16, kv_b),
        dense_mlp=_bytes(linear, counts.dense_mlp),
        shared_experts=_bytes(linear, counts.shared_experts),
        routed_experts=_bytes(experts, counts.routed_experts),
        router=_bytes(BF16, counts.router - bias) + _bytes(F32, bias),
        norms=_bytes(BF16, counts.norms),
        lm_head=_bytes(linear, counts.lm_head),
        vision=_bytes(BF16, counts.vision),
    )


@dataclass(frozen=True, slots=True)
class DecodeTraffic:
    """Bytes a decode step of one sequence must read: the ceiling of tokens/s is bandwidth over `total`."""

    routed_experts: int
    other_weights: int
    cache: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.routed_experts + self.other_weights + self.cache


def decode_traffic(config: ModelConfig, context_length: int, dense: str = "bf16") -> DecodeTraffic:
    """Bytes read for one token at `context_length` cached tokens: every active weight once, the cache once.

    dense: as for `weight_bytes`.  Of the embedding only one row is read; the vision part rests.
    """
    sizes, text = weight_bytes(config, dense), config.text
    return DecodeTraffic(
        routed_experts=sizes.routed_experts // text.n_routed_experts * text.num_experts_per_tok,
        other_weights=sizes.non_expert - sizes.embedding - sizes.vision + sizes.embedding // text.vocab_size,
        cache=kv_bytes_per_token(config) * context_length,
    )


def kv_bytes_per_token(config: ModelConfig, element_bytes: int = CACHE_ELEMENT_BYTES) -> int:
    """Bytes a cached token costs over all layers."""
    return config.text.num_hidden_layers * config.text.latent_width * element_bytes


def decode_operations(config: ModelConfig, context_length: int) -> int:
    """Multiplications and additions for one token that sees `context_length` tokens, itself included.

    Two for every active parameter, and per head and visible token the absorbed score (latent and rotary part) and
    the weighted sum of latents.
    """
    return 2 * active_parameters(config) + context_length * _attention_operations(config.text)


def prefill_operations(config: ModelConfig, num_tokens: int, num_cached: int = 0) -> int:
    """Multiplications and additions for `num_tokens` prompt tokens after `num_cached` cached ones, absorbed attention.

    The head runs for the last token only.
    """
    head = parameters(config).lm_head
    linears = 2 * num_tokens * (active_parameters(config) - head) + 2 * head
    visible = num_tokens * num_cached + num_tokens * (num_tokens + 1) // 2
    return linears + visible * _attention_operations(config.text)


@dataclass(frozen=True, slots=True)
class VisionOperations:
    """Multiplications and additions of one picture or chunk in the tower and its projector."""

    linears: int
    attention: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.linears + self.attention


def vision_operations(vision: VisionConfig, grid: Grid) -> VisionOperations:
    """Two for every weight of a linear layer and row; scores and their weighted sums over all pairs of patches."""
    width, inner, merged = vision.vt_hidden_size, vision.vt_intermediate_size, vision.merged_hidden_size
    block = 4 * width * width + 2 * width * inner
    patch = 3 * vision.patch_size**2 * width + vision.vt_num_hidden_layers * block
    token = merged * merged + merged * vision.text_hidden_size
    return VisionOperations(
        linears=2 * (grid.num_patches * patch + grid.num_tokens * token),
        attention=4 * vision.vt_num_hidden_layers * grid.num_patches**2 * width,
    )


def _attention_operations(text: TextConfig) -> int:
    return 2 * text.num_hidden_layers * text.num_attention_heads * (text.latent_width + text.kv_lora_rank)


def _num_dense_layers(text: TextConfig) -> int:
    return text.num_hidden_layers - text.num_moe_layers


def _attention_linears(text: TextConfig) -> int:
    """q_a, q_b, kv_a and o of one layer; kv_b is `_kv_b`."""
    heads, hidden = text.num_attention_heads, text.hidden_size
    query = text.q_lora_rank * (hidden + heads * text.qk_head_dim)
    return query + text.latent_width * hidden + heads * text.v_head_dim * hidden


def _kv_b(text: TextConfig) -> int:
    return text.num_attention_heads * (text.qk_nope_head_dim + text.v_head_dim) * text.kv_lora_rank


def _norms(text: TextConfig) -> int:
    layer = 2 * text.hidden_size + text.q_lora_rank + text.kv_lora_rank
    return text.num_hidden_layers * layer + text.hidden_size


def _vision(vision: VisionConfig) -> int:
    width, inner, merged = vision.vt_hidden_size, vision.vt_intermediate_size, vision.merged_hidden_size
    patches = width * (3 * vision.patch_size**2 + 1) + vision.init_pos_emb_height * vision.init_pos_emb_width * width
    block = 4 * width + 3 * width * (width + 1) + width * (width + 1) + inner * (width + 1) + width * (inner + 1)
    projector = 2 * vision.mm_hidden_size + merged * (merged + 1) + vision.text_hidden_size * (merged + 1)
    return patches + vision.vt_num_hidden_layers * block + 2 * width + projector


def _bytes(number_format: NumberFormat, weights: int) -> int:
    # Row by row the layout holds whole blocks, so the sum does too.
    return number_format.num_bytes((weights,))
