"""Facts of the language model: DeepSeek-V3's architecture as Kimi K2 and K2.5 configure it."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config import checks
from moonlet.config.checks import in_range, multiple, positive, supported
from moonlet.config.reader import ObjectReader
from moonlet.config.rope import RopeScaling, parse_rope_scaling
from moonlet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TextConfig:
    """One field a fact, spelt as in config.json, none with a default. Construction refuses impossible values."""

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    first_k_dense_replace: int
    moe_layer_freq: int
    n_group: int
    topk_group: int
    topk_method: str
    scoring_func: str
    norm_topk_prob: bool
    routed_scaling_factor: float
    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    max_position_embeddings: int
    tie_word_embeddings: bool
    hidden_act: str
    bos_token_id: int
    eos_token_ids: tuple[int, ...]
    pad_token_id: int | None

    @property
    def qk_head_dim(self) -> int:
        """Width of one query head: the part without position plus the rotary part."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_width(self) -> int:
        """Values cached per token and layer: the compressed key-value latent and the shared rotary key."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def shared_intermediate_size(self) -> int:
        """Width of the shared experts, which are stored as one wider expert."""
        return self.n_shared_experts * self.moe_intermediate_size

    @property
    def num_moe_layers(self) -> int:
        """Layers that hold routed experts."""
        return sum(self.is_moe_layer(layer_idx) for layer_idx in range(self.num_hidden_layers))

    def is_moe_layer(self, layer_idx: int) -> bool:
        """Whether layer `layer_idx` (from 0) holds routed experts rather than one dense MLP."""
        return layer_idx >= self.first_k_dense_replace and layer_idx % self.moe_layer_freq == 0

    def __post_init__(self) -> None:
        """Refuse facts this architecture cannot have. Raises ConfigError naming the field."""
        self._check_sizes()
        self._check_router()
        supported("hidden_act", self.hidden_act, "silu")
        multiple("qk_rope_head_dim", self.qk_rope_head_dim, 2, "rotary dimensions come in pairs")
        in_range("rms_norm_eps", self.rms_norm_eps, 0.0, 1.0)
        in_range("rope_theta", self.rope_theta, 1.0, 1e12)
        positive("routed_scaling_factor", self.routed_scaling_factor)
        if not self.eos_token_ids:
            raise ConfigError("eos_token_id is an empty list, expected at least one id to stop on")
        ids = {"bos_token_id": (self.bos_token_id,), "eos_token_id": self.eos_token_ids}
        if self.pad_token_id is not None:
            ids["pad_token_id"] = (self.pad_token_id,)
        for name, values in ids.items():
            for value in values:
                in_range(name, value, 0, self.vocab_size - 1)

    def _check_sizes(self) -> None:
        in_range("vocab_size", self.vocab_size, 1, checks.MAX_VOCAB)
        in_range("num_hidden_layers", self.num_hidden_layers, 1, checks.MAX_LAYERS)
        in_range("num_attention_heads", self.num_attention_heads, 1, checks.MAX_HEADS)
        in_range("max_position_embeddings", self.max_position_embeddings, 1, checks.MAX_POSITIONS)
        for name in (
            "hidden_size",
            "intermediate_size",
            "moe_intermediate_size",
            "q_lora_rank",
            "kv_lora_rank",
            "qk_nope_head_dim",
            "qk_rope_head_dim",
            "v_head_dim",
        ):
            in_range(name, getattr(self, name), 1, checks.MAX_WIDTH)

    def _check_router(self) -> None:
        supported("scoring_func", self.scoring_func, "sigmoid")
        supported("topk_method", self.topk_method, "noaux_tc")
        in_range("n_routed_experts", self.n_routed_experts, 1, checks.MAX_EXPERTS)
        in_range("n_shared_experts", self.n_shared_experts, 1, 64)
        in_range("first_k_dense_replace", self.first_k_dense_replace, 0, self.num_hidden_layers)
        in_range("moe_layer_freq", self.moe_layer_freq, 1, self.num_hidden_layers)
        in_range("num_experts_per_tok", self.num_experts_per_tok, 1, self.n_routed_experts)
        in_range("n_group", self.n_group, 1, self.n_routed_experts)
        in_range("topk_group", self.topk_group, 1, self.n_group)
        multiple("n_routed_experts", self.n_routed_experts, self.n_group, "n_group splits the experts evenly")
        in_range(
            "num_hidden_layers x n_routed_experts",
            self.num_hidden_layers * self.n_routed_experts,
            1,
            checks.MAX_EXPERTS_IN_ALL,
        )
        group_size = self.n_routed_experts // self.n_group
        # A group is scored by the sum of its two best experts (DeepSeek-V3 report, section 2.1.2).
        if self.n_group > 1 and group_size < 2:
            raise ConfigError(
                f"n_group is {self.n_group}, expected at least 2 of {self.n_routed_experts} experts a group"
            )
        if self.num_experts_per_tok > self.topk_group * group_size:
            raise ConfigError(
                f"num_experts_per_tok is {self.num_experts_per_tok}, expected at most the "
                f"{self.topk_group * group_size} experts of topk_group={self.topk_group} groups"
            )


def parse_text_config(text: ObjectReader, eos_token_ids: tuple[int, ...]) -> TextConfig:
    """Read the language model's facts.

    eos_token_ids: stop ids found elsewhere (top level, generation_config.json), added after this object's own.
    Raises ConfigError naming the missing, mistyped or impossible key.
    """
    if text.value("q_lora_rank") is None:
        raise ConfigError(f"{text.name('q_lora_rank')} is null: uncompressed queries are not supported")
    text.must_be("attention_bias", False, "projections with a bias are not supported")
    text.must_be("num_nextn_predict_layers", 0, "multi-token prediction layers are not supported")
    heads = text.integer("num_attention_heads")
    text.must_be("num_key_value_heads", heads, "latent attention has one key-value head a query head")
    own_eos = text.integers("eos_token_id")
    return TextConfig(
        model_type=text.string("model_type"),
        vocab_size=text.integer("vocab_size"),
        hidden_size=text.integer("hidden_size"),
        intermediate_size=text.integer("intermediate_size"),
        moe_intermediate_size=text.integer("moe_intermediate_size"),
        num_hidden_layers=text.integer("num_hidden_layers"),
        num_attention_heads=heads,
        n_routed_experts=text.integer("n_routed_experts"),
        n_shared_experts=text.integer("n_shared_experts"),
        num_experts_per_tok=text.integer("num_experts_per_tok"),
        first_k_dense_replace=text.integer("first_k_dense_replace"),
        moe_layer_freq=text.integer("moe_layer_freq"),
        n_group=text.integer("n_group"),
        topk_group=text.integer("topk_group"),
        topk_method=text.string("topk_method"),
        scoring_func=text.string("scoring_func"),
        norm_topk_prob=text.boolean("norm_topk_prob"),
        routed_scaling_factor=text.number("routed_scaling_factor"),
        q_lora_rank=text.integer("q_lora_rank"),
        kv_lora_rank=text.integer("kv_lora_rank"),
        qk_nope_head_dim=text.integer("qk_nope_head_dim"),
        qk_rope_head_dim=text.integer("qk_rope_head_dim"),
        v_head_dim=text.integer("v_head_dim"),
        rms_norm_eps=text.number("rms_norm_eps"),
        rope_theta=text.number("rope_theta"),
        rope_scaling=parse_rope_scaling(text),
        max_position_embeddings=text.integer("max_position_embeddings"),
        tie_word_embeddings=text.boolean("tie_word_embeddings"),
        hidden_act=text.string("hidden_act"),
        bos_token_id=text.integer("bos_token_id"),
        eos_token_ids=tuple(dict.fromkeys((*own_eos, *eos_token_ids))),
        pad_token_id=text.integer("pad_token_id") if text.has("pad_token_id") else None,
    )
