"""Both sets of operations answer every question alike."""

from __future__ import annotations

import pytest
import torch

from moonlet.kernels import Runtime
from moonlet.kernels.linear_int8 import quantize_int8
from moonlet.kernels.ops import AttentionForm, CpuOps, Ops, TorchOps
from moonlet.kernels.weights import Bf16Weight, F32Weight, Int8Weight
from tests.kernels.attention_case import SMALL, make_case
from tests.kernels.compare import assert_close


@pytest.fixture(params=["absorbed", "expanded"])
def attention(request: pytest.FixtureRequest) -> AttentionForm:
    form: AttentionForm = request.param
    return form


def test_a_layer_comes_out_alike(fast_rt: Runtime, attention: AttentionForm) -> None:
    case = make_case(SMALL, (130, 70), 5)
    ids = torch.arange(10)
    table = torch.randn(12, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    norm, proj = table[0].abs(), table[:, :].contiguous()
    wide = torch.randn(10, 80, generator=torch.Generator().manual_seed(2))

    def layer(ops: Ops) -> tuple[torch.Tensor, ...]:
        x = ops.embed(ids, table)
        normed = ops.rms_norm(x, norm, 1e-6)
        logits = ops.linear(normed, F32Weight(proj.float()))
        routing = ops.route(logits, torch.zeros(12), top_k=4, scaling=2.0, norm_topk_prob=True)
        half = torch.ones(10, 8) * 0.5
        pages = torch.zeros(1, 64, 80, dtype=torch.float16)
        queries = ops.prepare_attention(
            torch.cat((case.q_nope, case.q_rope), dim=-1), wide, norm, 1e-6, half, half, pages, torch.arange(10)
        )
        up = Bf16Weight(proj)
        return (
            *ops.linears(normed, F32Weight(proj.float()), up),
            ops.swiglu(normed, up, up, Bf16Weight(proj.T.contiguous())),
            *queries,
            pages.float(),
            routing.topk_ids,
            routing.topk_weights,
            ops.attend(*case.arguments()),
        )

    for found, expected in zip(layer(CpuOps(fast_rt, attention)), layer(TorchOps()), strict=True):
        assert found.dtype == expected.dtype
        assert_close(found, expected, 5e-6)


def test_the_expanded_option_widens_long_prompts_and_not_decode_steps(fast_rt: Runtime) -> None:
    # SMALL: widening 64 * 44 against 84 saved a query: from 34 queries.
    expanded, absorbed = CpuOps(fast_rt, "expanded"), CpuOps(fast_rt)
    for num_queries, widens in [(1, False), (33, False), (34, True)]:
        case = make_case(SMALL, (130,), num_queries)
        found, kept = expanded.attend(*case.arguments()), absorbed.attend(*case.arguments())
        assert torch.equal(found, kept) is not widens
        assert_close(found, kept, 5e-6)


def test_int8_weights_agree_within_the_rounding_of_activations(fast_rt: Runtime) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(48, 256, generator=generator).bfloat16()
    x = torch.randn(5, 256, generator=generator)
    quantised = Int8Weight(*quantize_int8(weight))
    # Activations are rounded to 127 steps of their group's largest: 0.4 % of it each, averaged over 256 products.
    assert_close(CpuOps(fast_rt).linear(x, quantised), TorchOps().linear(x, quantised), 0.01)
    assert_close(TorchOps().linear(x, quantised), TorchOps().linear(x, Bf16Weight(weight)), 0.01)


@pytest.mark.parametrize("attention", ["absorbed", "expanded"])
def test_torch_keeps_a_float32_cache_as_it_is(attention: AttentionForm) -> None:
    ops = TorchOps(attention=attention)
    compressed, norm = torch.randn(3, 80), torch.ones(64)
    turn = torch.ones(3, 8), torch.zeros(3, 8)
    pages = torch.zeros(2, 64, 80)
    ops.prepare_attention(torch.zeros(3, 4, 40), compressed, norm, 1e-6, *turn, pages, torch.tensor([64, 65, 66]))
    expected = torch.cat((ops.rms_norm(compressed[:, :64], norm, 1e-6), compressed[:, 64:]), dim=1)
    assert torch.equal(pages[1, :3], expected)
    case = make_case(SMALL, (130,), 5)
    wide = (*case.arguments()[:3], case.pages.float(), *case.arguments()[4:])
    assert torch.equal(ops.attend(*wide), ops.attend(*case.arguments()))


def test_bfloat16_products_stay_near_float32() -> None:
    x, weight = torch.randn(5, 256), torch.randn(48, 256).bfloat16()
    narrow = TorchOps(torch.bfloat16)
    # bfloat16 keeps 8 bits: 0.4 % of each input and of the result.
    assert_close(narrow.linear(x, Bf16Weight(weight)), TorchOps().linear(x, Bf16Weight(weight)), 0.01)
    # A float32 weight is a router's: never narrowed.
    assert torch.equal(narrow.linear(x, F32Weight(weight.float())), TorchOps().linear(x, F32Weight(weight.float())))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("attention", ["absorbed", "expanded"])
def test_a_gpu_agrees_with_the_cpu(fast_rt: Runtime, attention: AttentionForm) -> None:
    device = torch.device("cuda")
    case = make_case(SMALL, (130, 70), 5)
    on_gpu = (argument.to(device) if isinstance(argument, torch.Tensor) else argument for argument in case.arguments())
    found = TorchOps(torch.bfloat16, device, attention).attend(*on_gpu).cpu()
    assert_close(found, CpuOps(fast_rt).attend(*case.arguments()), 5e-6)
