"""INT4 group-32 packing is exact in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moonlet.checkpoint import open_checkpoint
from moonlet.errors import ShapeError
from moonlet.formats import int4g32
from tests.fakes.checkpoints import LAYER_1, TINY


def test_the_first_weight_of_a_word_is_in_its_lowest_bits() -> None:
    codes = torch.tensor([[-8, -7, 0, 1, 2, 3, 6, 7]], dtype=torch.int8)
    # From the lowest nibble: 0, 1, 8, 9, a, b, e, f.
    assert int4g32.pack(codes).item() == np.array(0xFEBA9810, dtype=np.uint32).view(np.int32).item()


def test_unpacking_undoes_packing_for_every_word_of_random_bits() -> None:
    words = torch.randint(-(2**31), 2**31, (17, 12), dtype=torch.int32)
    codes = int4g32.unpack(words)
    assert codes.shape == (17, 96)
    assert codes.min() >= -8
    assert codes.max() <= 7
    assert torch.equal(int4g32.pack(codes), words)


def test_unpacking_a_published_tensor_equals_plain_bit_arithmetic() -> None:
    checkpoint = open_checkpoint(TINY)
    packed = checkpoint.get(f"{LAYER_1}.mlp.experts.3.down_proj.weight_packed")
    words = packed.numpy().view(np.uint32)
    expected = np.stack([(words >> (4 * i)) & 0xF for i in range(8)], axis=-1).reshape(256, 256).astype(np.int8) - 8
    assert np.array_equal(int4g32.unpack(packed).numpy(), expected)


def test_dequantising_multiplies_code_and_scale_exactly() -> None:
    checkpoint = open_checkpoint(TINY)
    name = f"{LAYER_1}.mlp.experts.3.gate_proj"
    packed, scales = checkpoint.get(f"{name}.weight_packed"), checkpoint.get(f"{name}.weight_scale")
    exact = int4g32.unpack(packed).double() * scales.double().repeat_interleave(32, dim=1)
    assert torch.equal(int4g32.dequantize(packed, scales).double(), exact)
    rounded = int4g32.dequantize(packed, scales, torch.bfloat16)
    assert torch.equal(rounded, exact.to(torch.bfloat16))


def test_quantising_again_gives_the_same_bytes() -> None:
    weight = torch.randn(8, 128)
    packed, scales = int4g32.quantize(weight)
    again = int4g32.quantize(int4g32.dequantize(packed, scales))
    assert torch.equal(again[0], packed)
    assert torch.equal(again[1], scales)


def test_quantising_uses_codes_from_minus_seven_to_seven_and_halves_the_step_at_most() -> None:
    weight = torch.randn(8, 128)
    packed, scales = int4g32.quantize(weight)
    codes = int4g32.unpack(packed)
    assert codes.abs().max() == 7
    error = (int4g32.dequantize(packed, scales) - weight).abs()
    # Half a step, and what rounding the scale to BF16 (8 bits) moves the end of the range.
    assert (error <= scales.float().repeat_interleave(32, dim=1) * (0.5 + 7 / 256)).all()


def test_a_group_of_zeros_stays_zero() -> None:
    packed, scales = int4g32.quantize(torch.zeros(1, 32))
    assert not int4g32.dequantize(packed, scales).any()


def test_rows_that_are_not_whole_words_or_groups_are_refused() -> None:
    with pytest.raises(ShapeError, match="multiple of 8"):
        int4g32.pack(torch.zeros(1, 7, dtype=torch.int8))
    with pytest.raises(ShapeError, match="expected int32"):
        int4g32.unpack(torch.zeros(1, 7, dtype=torch.int64))
    with pytest.raises(ShapeError, match="multiple of 32"):
        int4g32.quantize(torch.zeros(1, 40))
    with pytest.raises(ShapeError, match="one a group of 4 words"):
        int4g32.dequantize(torch.zeros(1, 8, dtype=torch.int32), torch.zeros(1, 3, dtype=torch.bfloat16))
