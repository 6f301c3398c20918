"""What an `mmproj` file calls the tensors of the vision tower, and where its rows stand otherwise.

llama.cpp turns queries and keys by all column angles first and all row angles after; the published checkpoint turns
pairs of channels by column and row in turn. The rows of wqkv that make queries and keys are moved accordingly.
Source: constants.py (MODEL_TENSOR.V_*), conversion/kimi_vl.py and tools/mtmd/models/kimik25.cpp of llama.cpp.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TOP = {
    "vision_tower.patch_embed.proj": "v.patch_embd",
    "vision_tower.patch_embed.pos_emb": "v.position_embd",
    "vision_tower.encoder.final_layernorm": "v.post_ln",
    "mm_projector.pre_norm": "mm.input_norm",
    "mm_projector.proj.0": "mm.1",
    "mm_projector.proj.2": "mm.2",
}
_BLOCKS = "vision_tower.encoder.blocks."
_BLOCK = {
    "norm0": "ln1",
    "norm1": "ln2",
    "wqkv": "attn_qkv",
    "wo": "attn_out",
    "mlp.fc0": "ffn_up",
    "mlp.fc1": "ffn_down",
}


def mmproj_name(published: str) -> str:
    """The file's name of a tensor of the vision tower or its projector."""
    stem, _, last = published.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{last}"
    block_idx, _, part = stem.removeprefix(_BLOCKS).partition(".")
    return f"v.blk.{block_idx}.{_BLOCK[part]}.{last}"


def is_wqkv(published: str) -> bool:
    """Whether the tensor's rows stand otherwise in the file."""
    return ".wqkv." in published


def split_axes(wqkv: Tensor, num_heads: int) -> Tensor:
    """wqkv's rows as llama.cpp wants them: in a query's or key's head, column pairs before row pairs.

    wqkv: weight [3 * heads * width, inputs] or bias [3 * heads * width].
    """
    return _reorder(wqkv, num_heads, columns_first=True)


def interleave_axes(wqkv: Tensor, num_heads: int) -> Tensor:
    """The inverse of `split_axes`: rows as published."""
    return _reorder(wqkv, num_heads, columns_first=False)


def _reorder(wqkv: Tensor, num_heads: int, *, columns_first: bool) -> Tensor:
    rest = wqkv.shape[1:]
    parts = wqkv.view(3, -1, *rest)
    turned, values = parts[:2], parts[2:]
    pairs = turned.shape[1] // num_heads // 4
    # Axis and pair change places: [2 (q, k), heads, pairs, axis, 2 (channels of a pair)] or with axis before pairs.
    stored = (pairs, 2) if columns_first else (2, pairs)
    moved = turned.reshape(2, num_heads, *stored, 2, *rest).transpose(2, 3).reshape(turned.shape)
    return torch.cat((moved, values)).view(wqkv.shape)
