from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime, dequantize_int8, linear_int8, quantize_int8, reference_linear_int8


def _layer(num_outputs: int, num_inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(num_outputs)
    weight = torch.randn(num_outputs, num_inputs, generator=generator) / num_inputs**0.5
    return quantize_int8(weight.to(torch.bfloat16))


def _inputs(num_tokens: int, num_inputs: int) -> torch.Tensor:
    return torch.randn(num_tokens, num_inputs, generator=torch.Generator().manual_seed(num_tokens))


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 4, 5, 7, 8, 9, 33, 130, 200])
@pytest.mark.parametrize(
    ("num_outputs", "num_inputs"), [(37, 32), (64, 128), (37, 160), (1, 96), (70, 1184), (11, 2720)]
)
def test_every_level_equals_scalar_bit_for_bit(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, num_outputs: int, num_inputs: int
) -> None:
    codes, scales = _layer(num_outputs, num_inputs)
    x = _inputs(num_tokens, num_inputs)
    assert torch.equal(linear_int8(rt, x, codes, scales), linear_int8(scalar_rt, x, codes, scales))


@pytest.mark.parametrize("num_inputs", [32, 160, 512])
def test_scalar_is_close_to_float32(scalar_rt: Runtime, num_inputs: int) -> None:
    codes, scales = _layer(37, num_inputs)
    x = _inputs(5, num_inputs)
    expected = reference_linear_int8(x, codes, scales)
    difference = (linear_int8(scalar_rt, x, codes, scales) - expected).abs()
    # Activations are rounded to 1/254 of their group's greatest value, about 3; errors add like a random walk.
    assert difference.max() < 0.02, f"largest {difference.max()}, mean {difference.mean()}"


def test_codes_at_both_ends_do_not_saturate(rt: Runtime, scalar_rt: Runtime) -> None:
    codes = torch.cat([torch.zeros(8, 256), torch.full((8, 256), 255.0)]).to(torch.uint8)
    scales = torch.ones(16, 8, dtype=torch.bfloat16)
    x = torch.cat([torch.ones(6, 256), -torch.ones(6, 256)])
    y = linear_int8(rt, x, codes, scales)
    assert torch.equal(y, linear_int8(scalar_rt, x, codes, scales))
    # Exact but for the scale 1/127, which float32 rounds.
    expected = torch.tensor([-128.0 * 256] * 8 + [127.0 * 256] * 8)
    assert ((y[0] - expected).abs() <= 1e-6 * expected.abs()).all()


def test_a_tokens_row_does_not_depend_on_its_company(fast_rt: Runtime) -> None:
    codes, scales = _layer(37, 672)
    x = _inputs(250, 672)
    together = linear_int8(fast_rt, x, codes, scales)
    for chunk in (1, 3, 64):
        parts = [linear_int8(fast_rt, x[i : i + chunk], codes, scales) for i in range(0, 250, chunk)]
        assert torch.equal(torch.cat(parts), together)
    assert torch.equal(linear_int8(Runtime(num_threads=3), x, codes, scales), together)


def test_quantized_weights_are_within_half_a_step_and_never_clipped() -> None:
    weight = torch.randn(50, 96, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    codes, scales = quantize_int8(weight)
    assert int(codes.min()) >= 1
    step = scales.float().repeat_interleave(32, dim=1)
    assert torch.all((dequantize_int8(codes, scales) - weight.float()).abs() <= step / 2)
    amax = weight.float().reshape(50, 3, 32).abs().amax(-1)
    assert torch.all(scales.float() * 127 >= amax)
    assert torch.all(scales.float() * 127 <= amax * (1 + 2**-7))


def test_zero_weights_stay_zero() -> None:
    codes, scales = quantize_int8(torch.zeros(2, 64, dtype=torch.bfloat16))
    assert torch.equal(dequantize_int8(codes, scales), torch.zeros(2, 64))


def test_wrong_shapes_are_named(fast_rt: Runtime) -> None:
    codes, scales = _layer(8, 64)
    with pytest.raises(ShapeError, match=r"scales: shape \[8, 1\], expected \[N=8, K/32=2\]"):
        linear_int8(fast_rt, _inputs(1, 64), codes, scales[:, :1].contiguous())
    with pytest.raises(ShapeError, match=r"codes: shape \[8, 64\], expected \[N=8, K=32\]"):
        linear_int8(fast_rt, _inputs(1, 32), codes, scales)
    with pytest.raises(ShapeError, match="expected \\[N, K\\] with K a multiple of 32"):
        quantize_int8(torch.zeros(4, 33))
