"""Facts of MoonViT and its projector, as `vision_config` in config.json spells them."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config import checks
from moonlet.config.checks import in_range, multiple, supported
from moonlet.config.reader import ObjectReader
from moonlet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """One field a fact, none with a default. Construction refuses impossible values."""

    init_pos_emb_height: int
    init_pos_emb_width: int
    init_pos_emb_time: int
    merge_kernel_size: tuple[int, int]
    merge_type: str
    mm_hidden_size: int
    mm_projector_type: str
    patch_size: int
    pos_emb_type: str
    projector_hidden_act: str
    projector_ln_eps: float
    text_hidden_size: int
    video_attn_type: str
    vt_hidden_size: int
    vt_intermediate_size: int
    vt_num_attention_heads: int
    vt_num_hidden_layers: int

    @property
    def merged_hidden_size(self) -> int:
        """Width of one merged patch: the patches under the merge kernel side by side."""
        return self.mm_hidden_size * self.merge_kernel_size[0] * self.merge_kernel_size[1]

    def __post_init__(self) -> None:
        """Refuse facts this tower cannot have. Raises ConfigError naming the field."""
        for name in ("init_pos_emb_height", "init_pos_emb_width", "init_pos_emb_time", "patch_size"):
            in_range(name, getattr(self, name), 1, 4096)
        for name in ("mm_hidden_size", "text_hidden_size", "vt_hidden_size", "vt_intermediate_size"):
            in_range(name, getattr(self, name), 1, checks.MAX_WIDTH)
        if self.merge_kernel_size != (2, 2):
            raise ConfigError(f"merge_kernel_size is {list(self.merge_kernel_size)}, expected [2, 2]")
        in_range("vt_num_hidden_layers", self.vt_num_hidden_layers, 1, checks.MAX_LAYERS)
        in_range("vt_num_attention_heads", self.vt_num_attention_heads, 1, checks.MAX_HEADS)
        in_range("projector_ln_eps", self.projector_ln_eps, 0.0, 1.0)
        multiple("vt_hidden_size", self.vt_hidden_size, self.vt_num_attention_heads, "heads share the width evenly")
        # Two rotary axes (height and width) of two-dimensional pairs each.
        multiple("vt_hidden_size", self.vt_hidden_size, 4 * self.vt_num_attention_heads, "2D RoPE needs 4 | head width")
        supported("merge_type", self.merge_type, "sd2_tpool")
        supported("mm_projector_type", self.mm_projector_type, "patchmerger")
        supported("pos_emb_type", self.pos_emb_type, "divided_fixed")
        supported("projector_hidden_act", self.projector_hidden_act, "gelu")
        supported("video_attn_type", self.video_attn_type, "spatial_temporal")
        if self.mm_hidden_size != self.vt_hidden_size:
            raise ConfigError(
                f"mm_hidden_size is {self.mm_hidden_size}, expected vt_hidden_size ({self.vt_hidden_size})"
            )


def parse_vision_config(vision: ObjectReader) -> VisionConfig:
    """Read the vision tower's facts. Raises ConfigError naming the missing, mistyped or impossible key."""
    kernel = vision.integers("merge_kernel_size")
    if len(kernel) != 2:
        raise ConfigError(f"{vision.name('merge_kernel_size')} holds {len(kernel)} values, expected height and width")
    return VisionConfig(
        init_pos_emb_height=vision.integer("init_pos_emb_height"),
        init_pos_emb_width=vision.integer("init_pos_emb_width"),
        init_pos_emb_time=vision.integer("init_pos_emb_time"),
        merge_kernel_size=(kernel[0], kernel[1]),
        merge_type=vision.string("merge_type"),
        mm_hidden_size=vision.integer("mm_hidden_size"),
        mm_projector_type=vision.string("mm_projector_type"),
        patch_size=vision.integer("patch_size"),
        pos_emb_type=vision.string("pos_emb_type"),
        projector_hidden_act=vision.string("projector_hidden_act"),
        projector_ln_eps=vision.number("projector_ln_eps"),
        text_hidden_size=vision.integer("text_hidden_size"),
        video_attn_type=vision.string("video_attn_type"),
        vt_hidden_size=vision.integer("vt_hidden_size"),
        vt_intermediate_size=vision.integer("vt_intermediate_size"),
        vt_num_attention_heads=vision.integer("vt_num_attention_heads"),
        vt_num_hidden_layers=vision.integer("vt_num_hidden_layers"),
    )
