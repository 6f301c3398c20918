"""config.json becomes facts, or one line that names what is wrong."""

from __future__ import annotations

import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from moonlet.config import (
    ModelConfig,
    TextConfig,
    VisionConfig,
    load_model_config,
    parse_model_config,
    published_config,
)
from moonlet.errors import ConfigError
from tests.fakes.checkpoints import TINY, copy_tiny

OPTIONAL_OR_RENAMED = {"eos_token_ids", "pad_token_id"}
REQUIRED_TEXT_KEYS = sorted({item.name for item in fields(TextConfig)} - OPTIONAL_OR_RENAMED | {"eos_token_id"})
REQUIRED_VISION_KEYS = [item.name for item in fields(VisionConfig)]


def test_the_published_layout_of_k25_is_read() -> None:
    config = load_model_config(TINY)
    text, vision = config.text, config.vision
    assert config.model_type == "kimi_k25"
    assert config.tensor_prefix == "language_model."
    assert config.media_placeholder_token_id == 405
    assert (text.hidden_size, text.kv_lora_rank, text.n_routed_experts) == (256, 64, 16)
    assert (text.qk_head_dim, text.latent_width, text.num_moe_layers) == (48, 80, 3)
    assert [text.is_moe_layer(i) for i in range(4)] == [False, True, True, True]
    assert text.rope_scaling is not None
    assert text.rope_scaling.factor == 64.0
    assert vision is not None
    assert (vision.vt_hidden_size, vision.merge_kernel_size, vision.merged_hidden_size) == (64, (2, 2), 256)
    assert config.quantization is not None
    assert (config.quantization.group_size, config.quantization.num_bits) == (32, 4)


@pytest.mark.parametrize("model_type", ["kimi_k2", "deepseek_v3"])
def test_text_only_models_have_their_facts_at_the_top(text_only: dict[str, Any], model_type: str) -> None:
    config = parse_model_config({**text_only, "model_type": model_type})
    assert config.vision is None
    assert config.tensor_prefix == ""
    assert config.text.hidden_size == 256
    assert config.quantization is not None


def test_keys_nobody_reads_are_listed(published: dict[str, Any]) -> None:
    published["colour"] = "blue"
    published["text_config"]["flavour"] = {"sweet": True}
    unused = parse_model_config(published).unused_keys
    assert {"colour", "text_config.flavour", "text_config.attention_dropout"} <= set(unused)
    assert not {"text_config.hidden_size", "model_type", "text_config.quantization_config.format"} & set(unused)
    assert list(unused) == sorted(unused)


@pytest.mark.parametrize("key", REQUIRED_TEXT_KEYS)
def test_a_missing_text_fact_is_named(published: dict[str, Any], key: str) -> None:
    del published["text_config"][key]
    with pytest.raises(ConfigError, match=rf"config.json: text_config.{key} is missing"):
        parse_model_config(published)


@pytest.mark.parametrize("key", REQUIRED_VISION_KEYS)
def test_a_missing_vision_fact_is_named(published: dict[str, Any], key: str) -> None:
    del published["vision_config"][key]
    with pytest.raises(ConfigError, match=rf"config.json: vision_config.{key} is missing"):
        parse_model_config(published)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", -1, "hidden_size is -1"),
        ("hidden_size", 0, "hidden_size is 0"),
        ("hidden_size", 10**9, "hidden_size is 1000000000"),
        ("hidden_size", "256", "hidden_size is '256', expected an integer"),
        ("hidden_size", 256.5, "expected an integer"),
        ("hidden_size", True, "hidden_size is true, expected an integer"),
        ("hidden_size", None, "hidden_size is null, expected an integer"),
        ("moe_intermediate_size", 264, "moe_intermediate_size is 264, expected a multiple of 32"),
        ("vocab_size", 10**12, "vocab_size"),
        ("num_hidden_layers", 10**6, "num_hidden_layers"),
        ("num_experts_per_tok", 17, "num_experts_per_tok is 17"),
        ("n_routed_experts", 10**8, "n_routed_experts"),
        ("n_group", 3, "n_group splits the experts evenly"),
        ("topk_group", 2, "topk_group is 2"),
        ("num_key_value_heads", 2, "num_key_value_heads is 2, expected 4"),
        ("qk_rope_head_dim", 15, "qk_rope_head_dim is 15, expected a multiple of 2"),
        ("hidden_act", "gelu", "hidden_act 'gelu' is not supported"),
        ("scoring_func", "softmax", "scoring_func 'softmax' is not supported"),
        ("topk_method", "greedy", "topk_method 'greedy' is not supported"),
        ("attention_bias", True, "attention_bias is true, expected false"),
        ("tie_word_embeddings", True, "tie_word_embeddings"),
        ("q_lora_rank", None, "q_lora_rank is null"),
        ("num_nextn_predict_layers", 1, "num_nextn_predict_layers is 1, expected 0"),
        ("rms_norm_eps", 1e400, "rms_norm_eps is out of range|rms_norm_eps is inf"),
        ("rms_norm_eps", -1e-5, "rms_norm_eps"),
        ("rope_theta", 10**400, "rope_theta is out of range"),
        ("eos_token_id", 640, "eos_token_id is 640, expected a value from 0 to 639"),
        ("eos_token_id", ["a"], "eos_token_id is a list, expected an integer or a list of integers"),
        ("rope_scaling", [], "rope_scaling is a list, expected an object"),
    ],
)
def test_an_impossible_fact_is_refused_by_name(published: dict[str, Any], key: str, value: Any, said: str) -> None:
    published["text_config"][key] = value
    with pytest.raises(ConfigError, match=said) as caught:
        parse_model_config(published)
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


def test_more_experts_than_any_model_in_all_is_refused(published: dict[str, Any]) -> None:
    published["text_config"] |= {"num_hidden_layers": 1024, "n_routed_experts": 8192}
    with pytest.raises(ConfigError, match="num_hidden_layers x n_routed_experts"):
        parse_model_config(published)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("type", "linear"),
        ("factor", 0.5),
        ("beta_slow", 64.0),
        ("mscale", -1.0),
        ("original_max_position_embeddings", 0),
    ],
)
def test_impossible_rope_scaling_is_refused(published: dict[str, Any], key: str, value: Any) -> None:
    published["text_config"]["rope_scaling"][key] = value
    with pytest.raises(ConfigError, match=r"config.json: text_config.rope_scaling\."):
        parse_model_config(published)


def test_rope_scaling_may_be_null_for_plain_rope(published: dict[str, Any]) -> None:
    published["text_config"]["rope_scaling"] = None
    assert parse_model_config(published).text.rope_scaling is None


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("vt_num_attention_heads", 3, "vt_hidden_size is 64, expected a multiple of 3"),
        ("merge_kernel_size", [2], "merge_kernel_size holds 1 values"),
        ("text_hidden_size", 128, "text_hidden_size is 128"),
        ("merge_type", "mean", "merge_type 'mean' is not supported"),
        ("mm_hidden_size", 32, "mm_hidden_size is 32"),
    ],
)
def test_an_impossible_vision_fact_is_refused(published: dict[str, Any], key: str, value: Any, said: str) -> None:
    published["vision_config"][key] = value
    with pytest.raises(ConfigError, match=said):
        parse_model_config(published)


def test_vision_may_be_null_but_not_forgotten(published: dict[str, Any]) -> None:
    assert parse_model_config({**published, "vision_config": None}).vision is None
    del published["vision_config"]
    with pytest.raises(ConfigError, match="vision_config is missing"):
        parse_model_config(published)


@pytest.mark.parametrize("model_type", ["llama", "qwen3_moe", "deepseek_v2", "x" * 5000, "two\nlines"])
def test_another_architecture_is_named_with_what_is_supported(model_type: str) -> None:
    with pytest.raises(ConfigError, match="is not supported; moonlet reads kimi_k25, kimi_k2, deepseek_v3") as caught:
        parse_model_config({"model_type": model_type})
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quant_method": "fp8"}, "quant_method 'fp8' is not supported; moonlet reads compressed-tensors"),
        ({"format": "float-quantized"}, "format 'float-quantized' is not supported"),
        ({"kv_cache_scheme": {"num_bits": 8}}, "kv_cache_scheme is an object, expected null"),
        ({"config_groups": {}}, "config_groups holds 0 groups, expected one"),
    ],
)
def test_another_quantisation_is_named_with_what_is_supported(
    published: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    published["text_config"]["quantization_config"] |= change
    with pytest.raises(ConfigError, match=said):
        parse_model_config(published)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_bits", 8),
        ("group_size", 128),
        ("symmetric", False),
        ("strategy", "channel"),
        ("type", "float"),
        ("actorder", "group"),
    ],
)
def test_other_parameters_of_the_quantisation_are_refused(published: dict[str, Any], key: str, value: Any) -> None:
    scheme = published["text_config"]["quantization_config"]
    scheme["config_groups"]["group_0"]["weights"][key] = value
    with pytest.raises(ConfigError, match=rf"quantization_config.config_groups.group_0.weights.{key} is"):
        parse_model_config(published)


def test_a_model_without_quantisation_is_read(published: dict[str, Any]) -> None:
    del published["text_config"]["quantization_config"]
    assert parse_model_config(published).quantization is None


def test_stop_ids_are_gathered_from_every_place_that_names_one(published: dict[str, Any]) -> None:
    published["text_config"]["eos_token_id"] = [386, 384]
    published["eos_token_id"] = 385
    config = parse_model_config(published, {"eos_token_id": [386, 393]})
    assert config.text.eos_token_ids == (386, 384, 385, 393)


def test_a_model_that_never_stops_is_refused(text_only: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="eos_token_id is an empty list"):
        parse_model_config({**text_only, "eos_token_id": []})


def test_a_written_config_reads_back_as_the_same_facts(published: dict[str, Any]) -> None:
    def facts(config: ModelConfig) -> tuple[Any, ...]:
        return config.model_type, config.text, config.vision, config.quantization, config.media_placeholder_token_id

    text = {**copy.deepcopy(published["text_config"]), "model_type": "kimi_k2"}
    for source in (published, text):
        config = parse_model_config(source)
        assert facts(parse_model_config(published_config(config))) == facts(config)


def test_generation_config_is_optional(tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    (tiny / "generation_config.json").unlink()
    assert load_model_config(tiny).text.eos_token_ids == (386,)


def test_a_directory_that_is_none_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such directory"):
        load_model_config(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"no config\.json in it"):
        load_model_config(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a directory"):
        load_model_config(tmp_path / "file")


@pytest.mark.parametrize(
    ("generation", "greedy"), [({}, False), ({"do_sample": True}, False), ({"do_sample": False}, True)]
)
def test_only_do_sample_false_makes_a_model_greedy_by_default(
    published: dict[str, Any], generation: dict[str, Any], greedy: bool
) -> None:
    assert parse_model_config(published, generation).is_greedy_by_default is greedy


def test_a_do_sample_that_is_no_boolean_is_refused(published: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="do_sample"):
        parse_model_config(published, {"do_sample": "no"})
