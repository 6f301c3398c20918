"""config.json to `ModelConfig`: which architecture, and the facts of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from moonlet.config.checks import multiple
from moonlet.config.json_file import JsonObject, one_line, read_json_object
from moonlet.config.quantization import Int4Quantization, parse_quantization
from moonlet.config.reader import ObjectReader
from moonlet.config.text import TextConfig, parse_text_config
from moonlet.config.vision import VisionConfig, parse_vision_config
from moonlet.errors import ConfigError

SUPPORTED_MODEL_TYPES = ("kimi_k25", "kimi_k2", "deepseek_v3")
MAX_CONFIG_BYTES = 4 << 20

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A whole model as config.json describes it.

    vision is None for text-only models. quantization is None where the experts are plain BF16.
    media_placeholder_token_id stands in the prompt for a picture; None for text-only models.
    unused_keys: dotted names of the keys of config.json that nothing here reads, sorted.
    is_greedy_by_default: generation_config.json says `do_sample: false`, as K25-nano's does; K2.5 is sampled.
    """

    model_type: str
    text: TextConfig
    vision: VisionConfig | None
    quantization: Int4Quantization | None
    media_placeholder_token_id: int | None
    unused_keys: tuple[str, ...]
    is_greedy_by_default: bool = False

    @property
    def tensor_prefix(self) -> str:
        """What precedes the language model's tensor names in the checkpoint."""
        return "language_model." if self.model_type == "kimi_k25" else ""

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other. Raises ConfigError naming the field."""
        if self.vision is not None and self.vision.text_hidden_size != self.text.hidden_size:
            raise ConfigError(
                f"vision_config.text_hidden_size is {self.vision.text_hidden_size}, "
                f"expected text_config.hidden_size ({self.text.hidden_size})"
            )
        if self.quantization is not None:
            # A group of scales must not straddle two rows, and both matrices of an expert are packed.
            for name in ("hidden_size", "moe_intermediate_size"):
                reason = "a row of a quantised matrix is whole groups"
                multiple(name, getattr(self.text, name), self.quantization.group_size, reason)


def load_model_config(directory: Path) -> ModelConfig:
    """Read config.json, and generation_config.json where there is one, from a checkpoint's directory.

    Raises ConfigError in one line: no such directory or file, unreadable JSON, another architecture, a missing or
    impossible fact.
    """
    if not directory.exists():
        raise ConfigError(f"{directory}: no such directory; give a checkpoint's directory or a hub id")
    if not directory.is_dir():
        raise ConfigError(f"{directory}: not a directory; give the directory that holds config.json")
    path = directory / "config.json"
    if not path.exists():
        raise ConfigError(f"{directory}: no config.json in it; give the directory of a checkpoint as published")
    source = read_json_object(path, MAX_CONFIG_BYTES, ConfigError)
    generation_path = directory / "generation_config.json"
    generation: JsonObject = {}
    if generation_path.exists():
        generation = read_json_object(generation_path, MAX_CONFIG_BYTES, ConfigError)
    return parse_model_config(source, generation)


def parse_model_config(source: JsonObject, generation: JsonObject | None = None) -> ModelConfig:
    """Turn the parsed config.json (and generation_config.json) into facts.

    Stop ids are gathered from every place that publishes one, since K2.5's files name `<|im_end|>` in some and
    `[EOS]` in others. Raises ConfigError naming the key.
    """
    top = ObjectReader(source, "config.json")
    model_type = top.string("model_type")
    if model_type not in SUPPORTED_MODEL_TYPES:
        raise ConfigError(
            f"config.json: model_type {one_line(repr(model_type), 80)} is not supported; "
            f"moonlet reads {', '.join(SUPPORTED_MODEL_TYPES)}"
        )
    generation_reader = ObjectReader(generation or {}, "generation_config.json")
    extra_eos = _optional_eos(generation_reader)
    is_greedy = generation_reader.has("do_sample") and not generation_reader.boolean("do_sample")
    vision: VisionConfig | None = None
    placeholder: int | None = None
    if model_type == "kimi_k25":
        text_reader, path = top.object("text_config"), "text_config."
        extra_eos = (*_optional_eos(top), *extra_eos)
        # An explicit null is a text-only model in the multimodal naming; a forgotten key is a mistake.
        if top.value("vision_config") is not None:
            vision = _located("config.json: vision_config.", parse_vision_config, top.object("vision_config"))
            placeholder = top.integer("media_placeholder_token_id")
        top.must_be("tie_word_embeddings", text_reader.value("tie_word_embeddings"), "text_config says otherwise")
        for key in ("bos_token_id", "pad_token_id"):
            top.optional(key)
    else:
        text_reader, path = top, ""
    quantization = parse_quantization(text_reader)
    if quantization is None and text_reader is not top:
        quantization = parse_quantization(top)
    text = _located(f"config.json: {path}", lambda reader: parse_text_config(reader, extra_eos), text_reader)
    if placeholder is not None and not 0 <= placeholder < text.vocab_size:
        raise ConfigError(
            f"config.json: media_placeholder_token_id is {placeholder}, "
            f"expected an id below vocab_size {text.vocab_size}"
        )
    return _located(
        "config.json: ",
        lambda reader: ModelConfig(
            model_type, text, vision, quantization, placeholder, tuple(sorted(set(reader.unused()))), is_greedy
        ),
        top,
    )


def _optional_eos(reader: ObjectReader) -> tuple[int, ...]:
    return reader.integers("eos_token_id") if reader.has("eos_token_id") else ()


def _located(where: str, parse: Callable[[ObjectReader], _Part], reader: ObjectReader) -> _Part:
    """Run `parse`, saying where the fact stands if its own message only names the field."""
    try:
        return parse(reader)
    except ConfigError as cause:
        message = str(cause)
        if message.startswith("config.json:"):
            raise
        raise ConfigError(where + message) from None
