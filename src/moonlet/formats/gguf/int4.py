"""The published INT4 and Q4_0 are the same numbers in another order: code + 8 in a nibble, a scale for 32 weights.

INT4 keeps eight consecutive weights in an int32, the first lowest, so byte k of a group holds weights 2k (low) and
2k + 1 (high). A Q4_0 byte j holds weights j (low) and j + 16 (high). The scale is BF16 there and IEEE half here: equal
whenever the half can hold it, which is asked, never assumed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from moonlet.errors import CheckpointError
from moonlet.formats.gguf.bits import Bytes

_LOW, _HIGH = np.uint8(0x0F), np.uint8(0xF0)
_FOUR = np.uint8(4)


def int4_to_q4_0(packed: Tensor, scale: Tensor, name: str) -> Bytes:
    """Published INT4 as Q4_0 rows, losslessly.

    packed: [out, in / 8] int32.  scale: [out, in / 32] bfloat16.  Returns [out, in / 32 * 18] uint8.
    Raises CheckpointError naming the tensor if a half cannot hold one of the scales.
    """
    rows, groups = scale.shape
    pairs = packed.contiguous().numpy().view(np.uint8).reshape(rows, groups, 16)
    first, second = pairs[:, :, :8], pairs[:, :, 8:]
    blocks = np.empty((rows, groups, 18), dtype=np.uint8)
    blocks[:, :, :2] = exact_halves(scale, name).numpy().view(np.uint8).reshape(rows, groups, 2)
    blocks[:, :, 2::2] = (first & _LOW) | (second << _FOUR)
    blocks[:, :, 3::2] = (first >> _FOUR) | (second & _HIGH)
    return blocks.reshape(rows, -1)


def q4_0_to_int4(rows: Bytes, name: str) -> tuple[Tensor, Tensor]:
    """Undo `int4_to_q4_0`: packed [out, in / 8] int32 and scale [out, in / 32] bfloat16.

    rows: [out, in / 32 * 18] uint8. Raises CheckpointError naming the tensor if BF16 cannot hold one of the scales.
    """
    num_rows = rows.shape[0]
    blocks = rows.reshape(num_rows, -1, 18)
    even, odd = blocks[:, :, 2::2], blocks[:, :, 3::2]
    pairs = np.empty((num_rows, blocks.shape[1], 16), dtype=np.uint8)
    pairs[:, :, :8] = (even & _LOW) | (odd << _FOUR)
    pairs[:, :, 8:] = (even >> _FOUR) | (odd & _HIGH)
    halves = torch.from_numpy(np.ascontiguousarray(blocks[:, :, :2]).view(np.float16)[:, :, 0])
    packed = torch.from_numpy(pairs.reshape(num_rows, -1).view(np.int32))
    return packed, _exact(halves, torch.bfloat16, name)


def int4_to_q8_0(packed: Tensor, scale: Tensor, name: str) -> Bytes:
    """Published INT4 as Q8_0 rows with the same codes and scales: larger, but also without loss."""
    rows, groups = scale.shape
    pairs = packed.contiguous().numpy().view(np.uint8).reshape(rows, groups, 16)
    blocks = np.empty((rows, groups, 34), dtype=np.uint8)
    blocks[:, :, :2] = exact_halves(scale, name).numpy().view(np.uint8).reshape(rows, groups, 2)
    blocks[:, :, 2::2] = (pairs & _LOW) - np.uint8(8)
    blocks[:, :, 3::2] = (pairs >> _FOUR) - np.uint8(8)
    return blocks.reshape(rows, -1)


def exact_halves(scale: Tensor, name: str) -> Tensor:
    """BF16 scales as IEEE halves. Raises CheckpointError naming the tensor and the first that does not fit."""
    return _exact(scale, torch.float16, name)


def _exact(values: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    converted = values.to(dtype)
    wrong = converted.to(torch.float32) != values.to(torch.float32)
    if bool(wrong.any()):
        example = float(values[wrong][0])
        raise CheckpointError(
            f"{name}: {int(wrong.sum()):,} of its scales cannot be held exactly by {str(dtype).removeprefix('torch.')} "
            f"(such as {example:g}), so the conversion would lose accuracy; convert it to bf16 instead"
        )
    return converted
