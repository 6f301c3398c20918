from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.mla_reference import PAGE_SIZE, attend_absorbed_reference, attend_expanded_reference
from tests.kernels.attention_case import NANO, ODD, ONE_HEAD, SMALL, Shape, make_case
from tests.kernels.compare import assert_close, assert_same_bits

# Same float16 cache and weights on both sides: what is left is the order of float32 sums over at most a few thousand
# terms, and an exponential within 8e-8.
TOLERANCE = 5e-6

# One span is 32 pages, 2048 tokens: contexts around it join two spans.
SPAN = 32 * PAGE_SIZE


@pytest.mark.parametrize("shape", [SMALL, ODD, ONE_HEAD, NANO], ids=["small", "odd", "one head", "nano"])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("num_queries", [1, 3, 65])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, shape: Shape, length: int, num_queries: int
) -> None:
    case = make_case(shape, (length,), num_queries)
    scalar = case.run(scalar_rt)
    assert_same_bits(case.run(rt), scalar)
    assert_close(scalar, attend_absorbed_reference(*case.arguments()), TOLERANCE)
    assert_close(scalar, attend_expanded_reference(*case.arguments()), TOLERANCE)


@pytest.mark.parametrize("length", [SPAN, SPAN + 1, 2 * SPAN + 70])
def test_contexts_of_several_spans(rt: Runtime, scalar_rt: Runtime, length: int) -> None:
    case = make_case(ODD, (length,), 3)
    found = case.run(rt)
    assert_same_bits(found, case.run(scalar_rt))
    assert_close(found, attend_expanded_reference(*case.arguments()), TOLERANCE)


@pytest.mark.parametrize("length", [130, SPAN + 40])
def test_a_token_has_the_same_bits_in_decode_and_in_any_prefill_chunk(fast_rt: Runtime, length: int) -> None:
    num_queries = 130
    case = make_case(SMALL, (length,), num_queries)
    whole = case.run(fast_rt)
    for chunk in (1, 7, 64):
        parts = [case.tokens(slice(t, t + chunk)).run(fast_rt) for t in range(0, num_queries, chunk)]
        assert_same_bits(torch.cat(parts), whole)


def test_the_number_of_threads_does_not_change_bits(rt: Runtime) -> None:
    case = make_case(ODD, (3 * SPAN + 5, 130), 1)
    expected = case.run(Runtime(1, rt.isa))
    assert_same_bits(case.run(rt), expected)
    assert_same_bits(case.run(Runtime(7, rt.isa)), expected)


def test_sequences_of_a_batch_have_the_bits_they_have_alone(rt: Runtime) -> None:
    case = make_case(SMALL, (1, 63, 64, 65, 130), 7)
    together = case.run(rt)
    for seq in range(5):
        mine = case.seq_idx == seq
        assert_same_bits(case.tokens(mine).run(rt), together[mine])
    shuffled = torch.randperm(len(together), generator=torch.Generator().manual_seed(0))
    assert_same_bits(case.tokens(shuffled).run(rt), together[shuffled])
    assert_close(together, attend_absorbed_reference(*case.arguments()), TOLERANCE)
    assert_close(together, attend_expanded_reference(*case.arguments()), TOLERANCE)


def test_a_token_too_late_to_be_seen_has_no_influence_even_as_nan(rt: Runtime) -> None:
    case = make_case(SMALL, (130,), 130)
    clean = case.run(rt)
    spoiled = case.pages.clone()
    spoiled[case.page_tables[0, 1], 10] = float("nan")  # token 74
    case = replace(case, pages=spoiled)
    for found in (
        case.run(rt),
        attend_absorbed_reference(*case.arguments()),
        attend_expanded_reference(*case.arguments()),
    ):
        assert bool(found[:74].isfinite().all())
        assert bool(found[74:].isnan().all())
    assert_same_bits(case.run(rt)[:74], clean[:74])


def test_very_different_scores_vanish_instead_of_overflowing(rt: Runtime, scalar_rt: Runtime) -> None:
    case = make_case(SMALL, (200,), 5)
    case = replace(case, softmax_scale=1e4)
    found = case.run(rt)
    assert_same_bits(found, case.run(scalar_rt))
    # Scores of 1e5 carry an absolute rounding of about 1e-2, which the exponential turns into a relative one.
    assert_close(found, attend_absorbed_reference(*case.arguments()), 0.1)


def test_real_dimensions_agree_with_torch(fast_rt: Runtime) -> None:
    shape = Shape(num_heads=64, nope=128, rope=64, v_head_dim=128, kv_lora_rank=512)
    case = make_case(shape, (100, 70), 5)
    found = case.run(fast_rt)
    assert_close(found, attend_expanded_reference(*case.arguments()), TOLERANCE)
    assert_same_bits(case.tokens(slice(3, 4)).run(fast_rt), found[3:4])


def test_pages_sequences_and_lengths_that_do_not_exist_are_named(rt: Runtime) -> None:
    case = make_case(SMALL, (70,), 2)
    with pytest.raises(ShapeError, match=r"seq_idx\[1\] is 1, expected 0 to 0"):
        replace(case, seq_idx=torch.tensor([0, 1], dtype=torch.int32)).run(rt)
    with pytest.raises(ShapeError, match=r"context_lens\[0\] is 0, expected 1 to 192"):
        replace(case, context_lens=torch.tensor([0, 1], dtype=torch.int32)).run(rt)
    with pytest.raises(ShapeError, match=r"page_tables\[2\] is -1, expected 0 to 3"):
        replace(case, context_lens=torch.tensor([70, 129], dtype=torch.int32)).run(rt)
    with pytest.raises(ShapeError, match="kv_b"):
        replace(case, kv_b=case.kv_b[:-1]).run(rt)
