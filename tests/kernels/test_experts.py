from __future__ import annotations

import pytest
import torch

from moonlet.errors import OptionError, ShapeError
from moonlet.kernels import (
    Activations,
    Int4Experts,
    Runtime,
    dequantize_int4,
    experts_forward,
    reference_experts_forward,
)
from tests.kernels.int4 import random_experts, random_routing

# (hidden_size, moe_intermediate_size): spans of 512 inputs and blocks of 128 whole and not, 1 to 3 groups left over;
# 1696 is more spans than few tokens take at a time.
SIZES = [(512, 128), (160, 96), (64, 32), (608, 160), (1696, 32)]
NUM_TOKENS = [1, 2, 3, 7, 14, 33, 130]
ACTIVATIONS: list[Activations] = ["int8", "bf16"]


def _inputs(num_tokens: int, hidden_size: int) -> torch.Tensor:
    return torch.randn(num_tokens, hidden_size, generator=torch.Generator().manual_seed(num_tokens))


@pytest.mark.parametrize("activations", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("num_tokens", NUM_TOKENS)
def test_every_level_equals_scalar_bit_for_bit(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, sizes: tuple[int, int], activations: Activations
) -> None:
    experts = random_experts(4, *sizes)
    x = _inputs(num_tokens, sizes[0])
    ids, weights = random_routing(num_tokens, num_experts=4, top_k=2)
    found = experts_forward(rt, experts.layer, x, ids, weights, activations)
    # Scalar is slow: rows do not depend on their company (below), so a few tell of all.
    some = torch.tensor(sorted({0, num_tokens // 2, num_tokens - 1}))
    expected = experts_forward(scalar_rt, experts.layer, x[some], ids[some], weights[some], activations)
    assert torch.equal(found[some], expected)


# int8: activations keep about 1/254 of a group's greatest value, twice in a row, relative to outputs of size about 1.
# bf16: 8 bits of mantissa, twice in a row.
@pytest.mark.parametrize(("activations", "tolerance"), [("int8", 0.02), ("bf16", 0.01)])
@pytest.mark.parametrize("sizes", SIZES)
def test_scalar_is_close_to_float32(
    scalar_rt: Runtime, sizes: tuple[int, int], activations: Activations, tolerance: float
) -> None:
    experts = random_experts(6, *sizes)
    x = _inputs(9, sizes[0])
    ids, weights = random_routing(9, num_experts=6, top_k=4)
    expected = reference_experts_forward(*experts.dequantized(), x, ids, weights)
    difference = (experts_forward(scalar_rt, experts.layer, x, ids, weights, activations) - expected).abs()
    scale = expected.abs().max()
    assert difference.max() < tolerance * scale, f"largest {difference.max()}, mean {difference.mean()} of {scale}"


@pytest.mark.parametrize("activations", ACTIVATIONS)
def test_a_tokens_row_does_not_depend_on_its_company(fast_rt: Runtime, activations: Activations) -> None:
    experts = random_experts(4, 672, 96)
    x = _inputs(40, 672)
    ids, weights = random_routing(40, num_experts=4, top_k=2)
    together = experts_forward(fast_rt, experts.layer, x, ids, weights, activations)
    for chunk in (1, 7, 13):
        parts = [
            experts_forward(
                fast_rt, experts.layer, x[i : i + chunk], ids[i : i + chunk], weights[i : i + chunk], activations
            )
            for i in range(0, 40, chunk)
        ]
        assert torch.equal(torch.cat(parts), together)
    for num_threads in (2, 3):
        rt = Runtime(num_threads=num_threads)
        assert torch.equal(experts_forward(rt, experts.layer, x, ids, weights, activations), together)


def test_more_tokens_than_one_pass_takes(fast_rt: Runtime) -> None:
    experts = random_experts(2, 32, 32)
    x = _inputs(1100, 32)
    ids, weights = random_routing(1100, num_experts=2, top_k=1)
    together = experts_forward(fast_rt, experts.layer, x, ids, weights)
    assert torch.equal(experts_forward(fast_rt, experts.layer, x[1000:], ids[1000:], weights[1000:]), together[1000:])


def test_experts_add_in_ascending_order_whatever_the_order_of_choices(fast_rt: Runtime) -> None:
    experts = random_experts(8, 64, 64)
    x = _inputs(5, 64)
    ids, weights = random_routing(5, num_experts=8, top_k=8)
    expected = experts_forward(fast_rt, experts.layer, x, ids, weights)
    flipped = experts_forward(fast_rt, experts.layer, x, ids.flip(1).contiguous(), weights.flip(1).contiguous())
    assert torch.equal(flipped, expected)


def test_weights_need_no_alignment(fast_rt: Runtime) -> None:
    experts = random_experts(1, 160, 96)
    x = _inputs(20, 160)
    ids, weights = random_routing(20, num_experts=1, top_k=1)
    moved = []
    for tensors in (*experts.packed, *experts.scales):
        storage = torch.zeros(tensors[0].nbytes + 2, dtype=torch.uint8)
        raw = storage[2:] if tensors[0].dtype == torch.bfloat16 else storage[:-2]
        raw.copy_(tensors[0].view(torch.uint8).flatten())
        moved.append([raw.view(tensors[0].dtype).view(tensors[0].shape)])
    layer = Int4Experts(moved[0], moved[3], moved[1], moved[4], moved[2], moved[5])
    for count in (1, 20):
        expected = experts_forward(fast_rt, experts.layer, x[:count], ids[:count], weights[:count])
        assert torch.equal(experts_forward(fast_rt, layer, x[:count], ids[:count], weights[:count]), expected)


def test_nan_in_one_token_shows_there_and_nowhere_else(rt: Runtime) -> None:
    experts = random_experts(2, 128, 128)
    x = _inputs(9, 128)
    ids, weights = random_routing(9, num_experts=2, top_k=2)
    clean = experts_forward(rt, experts.layer, x, ids, weights)
    x[4, 77] = torch.nan
    found = experts_forward(rt, experts.layer, x, ids, weights)
    assert found[4].isnan().all()
    keep = torch.arange(9) != 4
    assert torch.equal(found[keep], clean[keep])


def test_no_tokens_give_no_rows(rt: Runtime) -> None:
    experts = random_experts(2, 64, 64)
    none = torch.empty(0, 2)
    assert experts_forward(rt, experts.layer, torch.empty(0, 64), none.to(torch.int32), none).shape == (0, 64)


def test_codes_unpack_from_the_lowest_bits() -> None:
    packed = torch.tensor([[0x76543210, 0x7EDCBA98, 0, 0]], dtype=torch.int32)
    scales = torch.tensor([[2.0]], dtype=torch.bfloat16)
    expected = [2.0 * (code - 8) for code in [*range(15), 7]] + [-16.0] * 16
    assert dequantize_int4(packed, scales).tolist() == [expected]


def test_a_wrong_shape_is_named() -> None:
    good = random_experts(2, 64, 32)
    packed, scales = good.packed, good.scales
    short = [packed[2][0], packed[2][1][:63]]
    with pytest.raises(ShapeError, match=r"experts\.1\.down_packed: shape \[63, 4\], expected \[D=64, F/8=4\]"):
        Int4Experts(packed[0], scales[0], packed[1], scales[1], short, scales[2])
    with pytest.raises(ShapeError, match=r"experts\.0\.gate_scales: float32, expected bfloat16"):
        Int4Experts(packed[0], [s.float() for s in scales[0]], packed[1], scales[1], packed[2], scales[2])
    with pytest.raises(ShapeError, match="1 up_packed, expected 2, one for each gate_packed"):
        Int4Experts(packed[0], scales[0], packed[1][:1], scales[1], packed[2], scales[2])


def test_wrong_inputs_are_refused_by_name(fast_rt: Runtime) -> None:
    layer = random_experts(2, 64, 32).layer
    ids, weights = random_routing(3, num_experts=2, top_k=1)
    x = _inputs(3, 64)
    with pytest.raises(ShapeError, match=r"x: shape \[3, 32\], expected \[T=3, D=64\]"):
        experts_forward(fast_rt, layer, x[:, :32].contiguous(), ids, weights)
    with pytest.raises(ShapeError, match=r"x: not contiguous"):
        experts_forward(fast_rt, layer, torch.randn(64, 3).T, ids, weights)
    with pytest.raises(ShapeError, match="topk_ids: int64, expected int32"):
        experts_forward(fast_rt, layer, x, ids.long(), weights)
    with pytest.raises(ShapeError, match=r"topk_ids\[1\]\[0\] is 2, expected 0 to 1"):
        experts_forward(fast_rt, layer, x, torch.tensor([[0], [2], [1]], dtype=torch.int32), weights)
    with pytest.raises(OptionError, match="activations fp8: expected int8 or bf16"):
        experts_forward(fast_rt, layer, x, ids, weights, "fp8")  # type: ignore[arg-type]
