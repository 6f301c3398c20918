"""Does the model fit this machine, and how much context with it: decided and said before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config import ModelConfig, ModelOptions
from moonlet.errors import OutOfMemoryError
from moonlet.model.cost import CACHE_ELEMENT_BYTES, kv_bytes_per_token, weight_bytes
from moonlet.model.machine import available_device_bytes, available_memory_bytes
from moonlet.model.vision.input import MAX_PATCHES, MERGE

PAGE_TOKENS = 64
"""The cache is handed out in pages of this many tokens, so a plan is whole pages."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What goes where, in bytes.

    available_bytes: what can be taken on the device that holds everything but the routed experts.
    expert_room_bytes: main memory left to hold routed experts, as page cache.
    non_expert_bytes: weights that every token reads; they must fit.
    expert_bytes: routed experts, mapped from the files. They need not fit: what does not is read from disk again.
    vision_bytes: weights of the vision tower and its projector, 0 without one.
    workspace_bytes: activations of one chunk of text or of the largest picture.
    feature_bytes: features of pictures kept for later turns, of two of the largest; 0 without a vision tower.
    context_length: tokens of one conversation.  cache_tokens: tokens the cache holds for all of them.
    """

    available_bytes: int
    expert_room_bytes: int
    non_expert_bytes: int
    expert_bytes: int
    vision_bytes: int
    workspace_bytes: int
    feature_bytes: int
    kv_bytes_per_token: int
    context_length: int
    cache_tokens: int

    @property
    def kv_bytes(self) -> int:
        """The cache when it is full."""
        return self.cache_tokens * self.kv_bytes_per_token

    @property
    def required_bytes(self) -> int:
        """Everything that must be in memory at once."""
        return self.non_expert_bytes + self.vision_bytes + self.workspace_bytes + self.feature_bytes + self.kv_bytes

    @property
    def experts_fit(self) -> bool:
        """Whether all routed experts stay in memory beside the rest."""
        return self.expert_bytes <= self.expert_room_bytes


def plan_memory(
    config: ModelConfig,
    options: ModelOptions,
    available_bytes: int | None = None,
    expert_bytes: int | None = None,
    non_expert_bytes: int | None = None,
) -> MemoryPlan:
    """Plan for a device that can give this process `available_bytes`; what it can give now if None.

    expert_bytes, non_expert_bytes: of the routed experts as stored and of the other weights as used; what the config
    implies if None.

    A context that was asked for is kept; otherwise it is the model's own limit, less where that does not fit. Where
    not everything fits, experts in memory matter more than context nobody asked for: the cache then gets an eighth
    of what the other weights leave, or a page at least.
    Raises OutOfMemoryError, with the numbers, if the non-expert weights or the context asked for do not fit.
    """
    sizes = weight_bytes(config, options.dense)
    routed = sizes.routed_experts if expert_bytes is None else expert_bytes
    per_token = kv_bytes_per_token(config, 4 if options.reference else CACHE_ELEMENT_BYTES)
    if available_bytes is None:
        available_bytes = available_device_bytes(options.device)
    # Text and pictures take turns.
    workspace = max(_workspace_bytes(config, options.chunk_size), _vision_workspace_bytes(config))
    non_expert = sizes.non_expert - sizes.vision if non_expert_bytes is None else non_expert_bytes
    features = _feature_bytes(config)
    fixed = non_expert + sizes.vision + workspace + features
    left = available_bytes - fixed
    if left < PAGE_TOKENS * per_token:
        raise OutOfMemoryError(_does_not_fit(config, options, fixed + PAGE_TOKENS * per_token, available_bytes))
    if options.context_length is not None:
        context = min(options.context_length, config.text.max_position_embeddings)
        if context * per_token > left:
            raise OutOfMemoryError(
                f"context_length {context:,} needs {_gb(context * per_token)} of cache beside {_gb(fixed)} of weights "
                f"and workspace, {_gb(available_bytes)} available; "
                f"at most {_whole_pages(left // per_token):,} tokens fit"
            )
    else:
        beside_experts = left - routed if options.device == "cpu" else left
        budget = max(beside_experts, left // 8, PAGE_TOKENS * per_token)
        context = min(config.text.max_position_embeddings, _whole_pages(budget // per_token))
    cache_tokens = max(context, options.cache_tokens or 0)
    if cache_tokens * per_token > left:
        raise OutOfMemoryError(
            f"cache_tokens {cache_tokens:,} needs {_gb(cache_tokens * per_token)} beside {_gb(fixed)} of weights and "
            f"workspace, {_gb(available_bytes)} available; at most {_whole_pages(left // per_token):,} tokens fit"
        )
    room = left - cache_tokens * per_token if options.device == "cpu" else available_memory_bytes()
    return MemoryPlan(
        available_bytes, room, non_expert, routed, sizes.vision, workspace, features, per_token, context, cache_tokens
    )


def _workspace_bytes(config: ModelConfig, chunk_size: int) -> int:
    """Activations of one chunk, float32: four residual-wide tensors, the widest intermediate twice, a row of logits."""
    text = config.text
    queries = text.num_attention_heads * (text.qk_head_dim + text.v_head_dim)
    routed = text.num_experts_per_tok * text.moe_intermediate_size
    widest = max(2 * text.intermediate_size, 2 * text.shared_intermediate_size, queries, routed)
    return 4 * (chunk_size * (4 * text.hidden_size + 2 * widest) + text.vocab_size)


def _vision_workspace_bytes(config: ModelConfig) -> int:
    """Activations of the largest picture: the residual stream before and after a block in float32; queries, keys and
    values, the last two once more in the order attention reads them, and the heads' results in BF16."""
    if config.vision is None:
        return 0
    return MAX_PATCHES * config.vision.vt_hidden_size * (2 * 4 + (3 + 2 + 1) * 2)


def _feature_bytes(config: ModelConfig) -> int:
    """Two of the largest pictures, float32: enough to compare them turn after turn."""
    if config.vision is None:
        return 0
    return 2 * 4 * (MAX_PATCHES // MERGE**2) * config.text.hidden_size


def _does_not_fit(config: ModelConfig, options: ModelOptions, needed: int, available: int) -> str:
    advice = "use a machine with more memory"
    if options.dense != "int8":
        smaller = needed - weight_bytes(config).non_expert + weight_bytes(config, "int8").non_expert
        if smaller <= available:
            advice = f"--dense int8 needs {_gb(smaller)}"
    return (
        f"not enough memory: the weights outside the routed experts and a minimal cache need {_gb(needed)}, "
        f"{_gb(available)} available; {advice}"
    )


def _whole_pages(tokens: int) -> int:
    return tokens // PAGE_TOKENS * PAGE_TOKENS


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
