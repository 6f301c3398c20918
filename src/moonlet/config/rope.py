"""YaRN parameters of the rotary embedding, as `rope_scaling` in config.json spells them."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config.checks import in_range, positive, supported
from moonlet.config.reader import ObjectReader
from moonlet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """YaRN (arXiv 2309.00071) as K2.5 publishes it: inverse frequencies below the ramp are divided by `factor`."""

    type: str
    factor: float
    original_max_position_embeddings: int
    beta_fast: float
    beta_slow: float
    mscale: float
    mscale_all_dim: float

    def __post_init__(self) -> None:
        """Refuse what the formula cannot take. Raises ConfigError naming the field."""
        supported("rope_scaling.type", self.type, "yarn")
        in_range("rope_scaling.factor", self.factor, 1.0, 1e6)
        in_range("rope_scaling.original_max_position_embeddings", self.original_max_position_embeddings, 1, 1 << 24)
        positive("rope_scaling.beta_slow", self.beta_slow)
        in_range("rope_scaling.mscale", self.mscale, 0.0, 100.0)
        in_range("rope_scaling.mscale_all_dim", self.mscale_all_dim, 0.0, 100.0)
        # Kimi K2 and K2-Thinking publish 1 for both: a step instead of a ramp.
        if not self.beta_fast >= self.beta_slow:
            raise ConfigError(
                f"rope_scaling.beta_fast is {self.beta_fast}, expected at least beta_slow ({self.beta_slow})"
            )


def parse_rope_scaling(text: ObjectReader) -> RopeScaling | None:
    """Read `rope_scaling`; null means plain RoPE. Raises ConfigError if the key is missing or a part of it is."""
    if text.value("rope_scaling") is None:
        return None
    reader = text.object("rope_scaling")
    # transformers renamed the key; files written by it carry "rope_type" instead of, or beside, "type".
    kind = reader.string("rope_type") if reader.has("rope_type") and not reader.has("type") else reader.string("type")
    return RopeScaling(
        type=kind,
        factor=reader.number("factor"),
        original_max_position_embeddings=reader.integer("original_max_position_embeddings"),
        beta_fast=reader.number("beta_fast"),
        beta_slow=reader.number("beta_slow"),
        mscale=reader.number("mscale"),
        mscale_all_dim=reader.number("mscale_all_dim"),
    )
