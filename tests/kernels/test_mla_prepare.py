from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.mla import mla_prepare
from moonlet.kernels.mla_reference import prepare_reference
from tests.kernels.compare import assert_close, assert_same_bits

EPS = 1e-6


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Arguments of a call, the pages full of sevens."""

    q: Tensor
    compressed: Tensor
    norm: Tensor
    cos: Tensor
    sin: Tensor
    pages: Tensor
    slots: Tensor

    def run(self, rt: Runtime | None) -> tuple[Tensor, Tensor, Tensor]:
        """q_nope, q_rope and the pages afterwards; by the reference where there is no Runtime."""
        pages = self.pages.clone()
        arguments = (self.q, self.compressed, self.norm, EPS, self.cos, self.sin, pages, self.slots)
        return (*(prepare_reference(*arguments) if rt is None else mla_prepare(rt, *arguments)), pages)


def new_tokens(
    num_tokens: int, *, num_heads: int = 3, nope: int = 5, rope: int = 6, kv_lora_rank: int = 37
) -> NewTokens:
    generator = torch.Generator().manual_seed(num_tokens)
    angles = torch.rand(num_tokens, rope // 2, generator=generator) * 6.3
    return NewTokens(
        q=torch.randn(num_tokens, num_heads, nope + rope, generator=generator),
        compressed=torch.randn(num_tokens, kv_lora_rank + rope, generator=generator),
        norm=torch.rand(kv_lora_rank, generator=generator).bfloat16(),
        cos=angles.cos(),
        sin=angles.sin(),
        pages=torch.full((3, 64, kv_lora_rank + rope), 7.0, dtype=torch.float16),
        slots=torch.randperm(3 * 64, generator=generator)[:num_tokens],
    )


@pytest.mark.parametrize("num_tokens", [1, 3, 65])
@pytest.mark.parametrize(("num_heads", "rope", "kv_lora_rank"), [(1, 2, 64), (5, 6, 37), (4, 64, 512)])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, num_heads: int, rope: int, kv_lora_rank: int
) -> None:
    case = new_tokens(num_tokens, num_heads=num_heads, rope=rope, kv_lora_rank=kv_lora_rank)
    scalar = case.run(scalar_rt)
    for found, expected in zip(case.run(rt), scalar, strict=True):
        assert_same_bits(found, expected)
    q_nope, q_rope, pages = case.run(None)
    assert_same_bits(scalar[0], q_nope.contiguous())
    # Two roundings of values no larger than the inputs; the pages keep eleven bits.
    assert_close(scalar[1], q_rope, 3e-7)
    assert_close(scalar[2].float(), pages.float(), 2**-11)
    untouched = ~torch.isin(torch.arange(192), case.slots)
    assert bool((scalar[2].flatten(0, 1)[untouched] == 7.0).all())


def test_a_token_has_the_same_bits_in_any_chunk(rt: Runtime) -> None:
    case = new_tokens(65)
    together = case.run(rt)
    alone = replace(
        case,
        **{name: getattr(case, name)[40:41] for name in ("q", "compressed", "cos", "sin", "slots")},
    ).run(Runtime(1, rt.isa))
    assert_same_bits(alone[0], together[0][40:41])
    assert_same_bits(alone[1], together[1][40:41])
    slot = divmod(int(case.slots[40]), 64)
    assert_same_bits(alone[2][slot], together[2][slot])


def test_pairs_turn_by_their_angle_and_stay_in_place(rt: Runtime) -> None:
    case = new_tokens(1, num_heads=1, nope=1, rope=4, kv_lora_rank=16)
    turned = torch.tensor([[9.0, 1.0, 0.0, 0.0, 2.0]])
    quarter = replace(
        case,
        q=turned[None],
        compressed=torch.cat((torch.ones(1, 16), turned[:, 1:]), dim=1),
        norm=torch.ones(16).bfloat16(),
        cos=torch.tensor([[0.0, 0.0]]),
        sin=torch.tensor([[1.0, 1.0]]),
        slots=torch.tensor([70]),
    )
    q_nope, q_rope, pages = quarter.run(rt)
    assert q_nope.tolist() == [[[9.0]]]
    assert q_rope.tolist() == [[[0.0, 1.0, -2.0, 0.0]]]
    assert pages[1, 6].tolist() == [1.0] * 16 + [0.0, 1.0, -2.0, 0.0]


@pytest.mark.parametrize("slot", [-1, 192])
def test_a_slot_outside_the_pages_is_named_and_nothing_is_written(rt: Runtime, slot: int) -> None:
    case = replace(new_tokens(2), slots=torch.tensor([0, slot]))
    with pytest.raises(ShapeError, match=rf"slots\[1\] is {slot}, expected 0 to 191"):
        mla_prepare(rt, case.q, case.compressed, case.norm, EPS, case.cos, case.sin, case.pages, case.slots)
    assert bool((case.pages == 7.0).all())


def test_tensors_that_do_not_fit_are_named(rt: Runtime) -> None:
    case = new_tokens(1)
    with pytest.raises(ShapeError, match="latent width=43"):
        replace(case, pages=torch.zeros(3, 64, 44, dtype=torch.float16)).run(rt)
    with pytest.raises(ShapeError, match="float32, expected float16"):
        replace(case, pages=torch.zeros(3, 64, 43)).run(rt)
    with pytest.raises(ShapeError, match=r"compressed: shape \[1, 42\], expected \[T=1, kv_lora_rank \+ R=43\]"):
        replace(case, compressed=torch.ones(1, 42)).run(rt)


def test_rounding_equals_torch_for_every_kind_of_value_and_saturates(rt: Runtime) -> None:
    generator = torch.Generator().manual_seed(5)
    bits = torch.randint(-(2**31), 2**31, (64, 16), generator=generator, dtype=torch.int64).to(torch.int32)
    scattered = bits.view(torch.float32)
    near_halves = (torch.arange(64 * 16).view(64, 16) / 2**25) - 2**-16  # subnormal halves and their ties
    case = new_tokens(64, rope=32)
    for values in (scattered, near_halves.float()):
        # An angle of zero leaves the even values of a pair as they are beside odd zeros.
        keys = torch.stack((values, torch.zeros_like(values)), dim=-1).flatten(1)
        still = replace(
            case,
            compressed=torch.cat((case.compressed[:, :37], keys), dim=1),
            cos=torch.ones(64, 16),
            sin=torch.zeros(64, 16),
        )
        stored = still.run(rt)[2].flatten(0, 1)[case.slots][:, 37::2]
        # An infinity in the cache would turn every later score into NaN.
        expected = values.half().clamp(-65504, 65504)
        assert torch.equal(stored.nan_to_num(1.0), expected.nan_to_num(1.0))
        assert torch.equal(stored.isnan(), expected.isnan())
