from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.mla import store_latent
from moonlet.kernels.mla_reference import store_latent_reference


@pytest.mark.parametrize(("kv_lora_rank", "rope"), [(64, 32), (37, 6)])
def test_tokens_land_rounded_to_nearest_even_in_their_slots_and_nowhere_else(
    rt: Runtime, kv_lora_rank: int, rope: int
) -> None:
    generator = torch.Generator().manual_seed(rope)
    latent = torch.randn(65, kv_lora_rank, generator=generator)
    latent[0, :4] = torch.tensor([float("nan"), float("inf"), 3.4e38, 1.00390625])  # the last is halfway: to even
    k_rope = torch.randn(65, rope, generator=generator)
    slots = torch.randperm(3 * 64, generator=generator)[:65]
    pages = torch.full((3, 64, kv_lora_rank + rope), 7.0, dtype=torch.float16)
    expected = pages.clone()
    store_latent_reference(expected, latent, k_rope, slots)
    store_latent(rt, pages, latent, k_rope, slots)
    assert torch.equal(pages.nan_to_num(), expected.nan_to_num())
    assert torch.equal(pages.isnan(), expected.isnan())
    assert bool((pages.view(192, -1)[~torch.isin(torch.arange(192), slots)] == 7.0).all())


@pytest.mark.parametrize("slot", [-1, 192])
def test_a_slot_outside_the_pages_is_named_and_nothing_is_written(rt: Runtime, slot: int) -> None:
    pages = torch.zeros(3, 64, 20, dtype=torch.float16)
    with pytest.raises(ShapeError, match=rf"slots\[1\] is {slot}, expected 0 to 191"):
        store_latent(rt, pages, torch.ones(2, 16), torch.ones(2, 4), torch.tensor([0, slot]))
    assert not bool(pages.any())


def test_pages_of_another_width_or_type_are_named(rt: Runtime) -> None:
    latent, k_rope, slots = torch.ones(1, 16), torch.ones(1, 4), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ShapeError, match="latent width=20"):
        store_latent(rt, torch.zeros(3, 64, 24, dtype=torch.float16), latent, k_rope, slots)
    with pytest.raises(ShapeError, match="float32, expected float16"):
        store_latent(rt, torch.zeros(3, 64, 20), latent, k_rope, slots)


def test_rounding_equals_torch_for_every_kind_of_value_and_saturates(rt: Runtime) -> None:
    generator = torch.Generator().manual_seed(5)
    bits = torch.randint(-(2**31), 2**31, (64, 16), generator=generator, dtype=torch.int64).to(torch.int32)
    scattered = bits.view(torch.float32)
    near_halves = (torch.arange(64 * 16).view(64, 16) / 2**25) - 2**-16  # subnormal halves and their ties
    for latent in (scattered, near_halves.float()):
        pages = torch.zeros(1, 64, 16, dtype=torch.float16)
        store_latent(rt, pages, latent[:, :14].contiguous(), latent[:, 14:].contiguous(), torch.arange(64))
        # An infinity in the cache would turn every later score into NaN.
        expected = latent.half().clamp(-65504, 65504)
        assert torch.equal(pages[0].nan_to_num(1.0), expected.nan_to_num(1.0))
        assert torch.equal(pages[0].isnan(), expected.isnan())
