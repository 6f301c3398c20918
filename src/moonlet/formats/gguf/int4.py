"""The published INT4 and Q4_0 are the same numbers in another order: code + 8 in a nibble, a scale for 32 weights.

INT4 keeps eight consecutive weights in an int32, the first lowest, so byte k of a group holds weights 2k (low) and
2k + 1 (high). A Q4_0 byte j holds weights j (low) and j + 16 (high). The scale is BF16 there and IEEE half here: equal
whenever the half can hold it, which is asked, never assumed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moonlet.errors import CheckpointError
from moonlet.formats.gguf.bits import Bytes

_LOW, _HIGH = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0xF0F0F0F0F0F0F0F0)
_FOUR = np.uint64(4)
_Q4_0 = np.dtype([("scale", "<f2"), ("quants", "u1", (16,))])
_Q8_0 = np.dtype([("scale", "<f2"), ("quants", "i1", (32,))])


def _zip(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> Bytes:
    """Eight bytes of each, in turns: [...] and [...] to [..., 16]."""
    both: Bytes = np.stack([_bytes(first), _bytes(second)], axis=-1)
    return both.reshape(*first.shape, 16)


def _bytes(words: NDArray[np.uint64]) -> Bytes:
    return np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8).reshape(*words.shape, 8)


def int4_to_q4_0(packed: Tensor, scale: Tensor, name: str) -> Bytes:
    """Published INT4 as Q4_0 rows, losslessly.

    packed: [out, in / 8] int32.  scale: [out, in / 32] bfloat16.  Returns [out, in / 32 * 18] uint8.
    Raises CheckpointError naming the tensor if a half cannot hold one of the scales.
    """
    # Eight bytes at a time: a group is two words, weights 0 to 15 and 16 to 31.
    words = packed.contiguous().numpy().view("<u8").reshape(*scale.shape, 2)
    first, second = words[:, :, 0], words[:, :, 1]
    blocks = np.empty(tuple(scale.shape), dtype=_Q4_0)
    blocks["scale"] = exact_halves(scale, name).numpy()
    blocks["quants"] = _zip((first & _LOW) | ((second & _LOW) << _FOUR), ((first & _HIGH) >> _FOUR) | (second & _HIGH))
    return blocks.view(np.uint8)


def q4_0_to_int4(rows: Bytes, name: str) -> tuple[Tensor, Tensor]:
    """Undo `int4_to_q4_0`: packed [out, in / 8] int32 and scale [out, in / 32] bfloat16.

    rows: [out, in / 32 * 18] uint8. Raises CheckpointError naming the tensor if BF16 cannot hold one of the scales.
    """
    blocks = np.ascontiguousarray(rows).view(_Q4_0)
    quants = blocks["quants"]
    even = np.ascontiguousarray(quants[:, :, 0::2]).view("<u8")[:, :, 0]
    odd = np.ascontiguousarray(quants[:, :, 1::2]).view("<u8")[:, :, 0]
    words = np.empty((*blocks.shape, 2), dtype="<u8")
    words[:, :, 0] = (even & _LOW) | ((odd & _LOW) << _FOUR)
    words[:, :, 1] = ((even & _HIGH) >> _FOUR) | (odd & _HIGH)
    packed = torch.from_numpy(words.reshape(blocks.shape[0], -1).view(np.int32))
    return packed, _exact(torch.from_numpy(np.ascontiguousarray(blocks["scale"])), torch.bfloat16, name)


def int4_to_q8_0(packed: Tensor, scale: Tensor, name: str) -> Bytes:
    """Published INT4 as Q8_0 rows with the same codes and scales: larger, but also without loss."""
    words = packed.contiguous().numpy().view("<u8").reshape(*scale.shape, 2)
    blocks = np.empty(tuple(scale.shape), dtype=_Q8_0)
    blocks["scale"] = exact_halves(scale, name).numpy()
    codes = np.concatenate([_zip(word & _LOW, (word & _HIGH) >> _FOUR) for word in (words[..., 0], words[..., 1])], -1)
    blocks["quants"] = codes.view(np.int8) - np.int8(8)
    return blocks.view(np.uint8)


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
