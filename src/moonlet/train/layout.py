"""Names and config: K25-nano as the published files describe a model of this architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from moonlet.config import Int4Quantization, ModelConfig, RopeScaling, TextConfig
from moonlet.config.vision import VisionConfig
from moonlet.train.pictures import PATCH_SIDE
from moonlet.train.shape import NanoShape
from moonlet.train.tower import TowerShape
from moonlet.train.vocabulary import Vocabulary

LANGUAGE_MODEL = "language_model."
EYES = "eyes."
EXPERT_MATRICES = ("gate_proj", "up_proj", "down_proj")
_UNQUANTISED = ("lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*")


def nano_config(shape: NanoShape, vocabulary: Vocabulary) -> ModelConfig:
    """The facts of a model of this shape, its routed experts in INT4."""
    rope = RopeScaling(
        type="yarn",
        factor=shape.rope_factor,
        original_max_position_embeddings=shape.original_max_position_embeddings,
        beta_fast=shape.rope_beta_fast,
        beta_slow=shape.rope_beta_slow,
        mscale=shape.rope_mscale_all_dim,
        mscale_all_dim=shape.rope_mscale_all_dim,
    )
    text = TextConfig(
        model_type="kimi_k2",
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        moe_intermediate_size=shape.moe_intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        n_routed_experts=shape.n_routed_experts,
        n_shared_experts=shape.n_shared_experts,
        num_experts_per_tok=shape.num_experts_per_tok,
        first_k_dense_replace=shape.first_k_dense_replace,
        moe_layer_freq=1,
        n_group=1,
        topk_group=1,
        topk_method="noaux_tc",
        scoring_func="sigmoid",
        norm_topk_prob=True,
        routed_scaling_factor=shape.routed_scaling_factor,
        q_lora_rank=shape.q_lora_rank,
        kv_lora_rank=shape.kv_lora_rank,
        qk_nope_head_dim=shape.qk_nope_head_dim,
        qk_rope_head_dim=shape.qk_rope_head_dim,
        v_head_dim=shape.v_head_dim,
        rms_norm_eps=shape.rms_norm_eps,
        rope_theta=shape.rope_theta,
        rope_scaling=rope,
        max_position_embeddings=shape.max_position_embeddings,
        tie_word_embeddings=False,
        hidden_act="silu",
        bos_token_id=vocabulary.special("[BOS]"),
        eos_token_ids=(vocabulary.special("<|im_end|>"),),
        pad_token_id=vocabulary.special("[PAD]"),
    )
    scheme = Int4Quantization(group_size=32, num_bits=4, ignore=_UNQUANTISED)
    if shape.vision is None:
        return ModelConfig("kimi_k2", text, None, scheme, None, ())
    return ModelConfig("kimi_k25", text, _vision_config(shape.vision), scheme, vocabulary.special("<|media_pad|>"), ())


def _vision_config(shape: TowerShape) -> VisionConfig:
    return VisionConfig(
        **asdict(shape),
        merge_kernel_size=(2, 2),
        merge_type="sd2_tpool",
        mm_hidden_size=shape.vt_hidden_size,
        mm_projector_type="patchmerger",
        patch_size=PATCH_SIDE,
        pos_emb_type="divided_fixed",
        projector_hidden_act="gelu",
        video_attn_type="spatial_temporal",
    )


def shape_of(config: ModelConfig) -> NanoShape:
    """The trainable shape of a checkpoint's config, the reverse of `nano_config`."""
    text, rope = config.text, config.text.rope_scaling
    assert rope is not None, "every K25-nano is trained with YaRN"
    same = {name: getattr(text, name) for name in NanoShape.__slots__ if hasattr(text, name)}
    same.pop("max_position_embeddings", None)
    same |= {
        "rope_factor": rope.factor,
        "rope_beta_fast": rope.beta_fast,
        "rope_beta_slow": rope.beta_slow,
        "rope_mscale_all_dim": rope.mscale_all_dim,
        "original_max_position_embeddings": rope.original_max_position_embeddings,
    }
    if config.vision is not None:
        same["vision"] = TowerShape(**{name: getattr(config.vision, name) for name in TowerShape.__slots__})
    return NanoShape(**same)


def published_name(name: str, shape: NanoShape) -> str:
    """A `NanoModel` parameter's name in the checkpoint: beside a tower, the decoder is `language_model`."""
    if shape.vision is None:
        return name
    return name.removeprefix(EYES) if name.startswith(EYES) else LANGUAGE_MODEL + name


def trainable_name(name: str, shape: NanoShape) -> str:
    """The reverse of `published_name`."""
    if shape.vision is None:
        return name
    return name.removeprefix(LANGUAGE_MODEL) if name.startswith(LANGUAGE_MODEL) else EYES + name


def expert_prefixes(shape: NanoShape) -> Iterator[tuple[str, str]]:
    """(name of the stacked parameter, published name of expert number "{}") of every routed matrix."""
    for layer_idx in range(shape.first_k_dense_replace, shape.num_hidden_layers):
        experts = f"model.layers.{layer_idx}.mlp.experts."
        for matrix in EXPERT_MATRICES:
            yield experts + matrix, experts + "{}." + matrix
