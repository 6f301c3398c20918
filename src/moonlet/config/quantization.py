"""How the routed experts are stored: compressed-tensors `pack-quantized` INT4, group 32, symmetric; or plain."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config.reader import ObjectReader
from moonlet.errors import ConfigError

_SUPPORTED = "moonlet reads compressed-tensors pack-quantized INT4 (symmetric, group 32) or plain BF16"


@dataclass(frozen=True, slots=True)
class Int4Quantization:
    """The published weight-only scheme of the routed experts.

    ignore: the patterns of unquantised modules, for information only. Foreign regular expressions are never run:
    the strict layout already says of every tensor whether it is packed.
    """

    group_size: int
    num_bits: int
    ignore: tuple[str, ...]


def parse_quantization(parent: ObjectReader) -> Int4Quantization | None:
    """Read `quantization_config`; null or absent means unquantised. Raises ConfigError naming any other scheme."""
    if not parent.has("quantization_config"):
        parent.optional("quantization_config")
        return None
    reader = parent.object("quantization_config")
    method = reader.string("quant_method")
    if method != "compressed-tensors":
        raise ConfigError(f"{reader.name('quant_method')} {method!r} is not supported; {_SUPPORTED}")
    kind = reader.string("format")
    if kind != "pack-quantized":
        raise ConfigError(f"{reader.name('format')} {kind!r} is not supported; {_SUPPORTED}")
    reader.must_be("kv_cache_scheme", None, "a quantised cache is not supported")
    groups = reader.object("config_groups")
    names = groups.names()
    if len(names) != 1:
        raise ConfigError(f"{reader.name('config_groups')} holds {len(names)} groups, expected one; {_SUPPORTED}")
    group = groups.object(names[0])
    for key in ("input_activations", "output_activations"):
        group.must_be(key, None, f"only weights may be quantised; {_SUPPORTED}")
    weights = group.object("weights")
    expected: dict[str, object] = {
        "num_bits": 4,
        "group_size": 32,
        "strategy": "group",
        "type": "int",
        "symmetric": True,
    }
    for key, value in expected.items():
        weights.value(key)
        weights.must_be(key, value, _SUPPORTED)
    weights.must_be("dynamic", False, _SUPPORTED)
    weights.must_be("actorder", None, "columns permuted by activation order are not supported")
    return Int4Quantization(group_size=32, num_bits=4, ignore=reader.strings("ignore"))
