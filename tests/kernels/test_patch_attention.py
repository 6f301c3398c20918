from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.patch_attention import patch_attention, patch_attention_reference
from tests.kernels.compare import assert_close, assert_same_bits

# Of the largest value: probabilities and results are rounded to the 8 bits of bfloat16.
TOLERANCE = 0.008


def patches(num_patches: int, num_heads: int, width: int, *, spread: float = 1.0) -> Tensor:
    """[n, 3, H, C]; the larger the spread, the sharper the softmax."""
    generator = torch.Generator().manual_seed(num_patches)
    qkv = torch.randn(num_patches, 3, num_heads, width, generator=generator)
    qkv[:, :2] *= spread
    return qkv.bfloat16()


# A block holds 128 keys, a piece of work 240 queries, a vector 16 columns; K2.5's heads are 72 wide.
@pytest.mark.parametrize("width", [2, 20, 64, 72, 128])
@pytest.mark.parametrize("num_patches", [1, 4, 127, 130, 300])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, num_patches: int, width: int
) -> None:
    qkv = patches(num_patches, 2, width)
    scalar = patch_attention(scalar_rt, qkv)
    assert_same_bits(patch_attention(rt, qkv), scalar)
    assert_close(scalar.float(), patch_attention_reference(qkv), TOLERANCE)


@pytest.mark.parametrize("spread", [0.0, 30.0])
def test_scores_far_apart_and_all_alike(rt: Runtime, scalar_rt: Runtime, spread: float) -> None:
    qkv = patches(261, 2, 24, spread=spread)
    found = patch_attention(rt, qkv)
    assert_same_bits(found, patch_attention(scalar_rt, qkv))
    assert_close(found.float(), patch_attention_reference(qkv), TOLERANCE)


def test_subnormal_numbers_count_as_zero_on_every_level(rt: Runtime) -> None:
    qkv = patches(40, 1, 16)
    qkv[:, 2] = 1e-39
    assert float(qkv[0, 2, 0, 0]) > 0.0
    assert_same_bits(patch_attention(rt, qkv), torch.zeros(40, 16, dtype=torch.bfloat16))
    assert float(qkv[0, 2, 0, 0] * 2.0) > 0.0, "the caller's floating-point mode was changed"


def test_bits_do_not_depend_on_threads(rt: Runtime) -> None:
    qkv = patches(520, 3, 72)
    alone = patch_attention(Runtime(num_threads=1, isa=rt.isa), qkv)
    assert_same_bits(patch_attention(rt, qkv), alone)
    assert_same_bits(patch_attention(Runtime(num_threads=3, isa=rt.isa), qkv), alone)


def test_a_head_does_not_depend_on_its_neighbours(rt: Runtime) -> None:
    qkv = patches(150, 3, 20)
    heads = [patch_attention(rt, qkv[:, :, head : head + 1].contiguous()) for head in range(3)]
    assert_same_bits(patch_attention(rt, qkv), torch.cat(heads, dim=1))


def test_no_patches_is_no_work(rt: Runtime) -> None:
    assert patch_attention(rt, patches(0, 2, 16)).shape == (0, 32)


def test_what_does_not_fit_is_named(rt: Runtime) -> None:
    with pytest.raises(ShapeError, match="patch_attention: qkv: heads of 9 channels, expected an even number"):
        patch_attention(rt, patches(4, 2, 9))
    with pytest.raises(ShapeError, match=r"patch_attention: qkv: shape \[4, 2, 2, 8\], expected \[N=4, 3=3, H, C\]"):
        patch_attention(rt, patches(4, 2, 8)[:, :2].contiguous())
    with pytest.raises(ShapeError, match="patch_attention: qkv: float32, expected bfloat16"):
        patch_attention(rt, patches(4, 2, 8).float())
