"""What may be handed to a kernel as an array."""

from __future__ import annotations

import sys

import pytest
import torch

from moonlet import _kernels
from moonlet.errors import ShapeError
from moonlet.kernels import Runtime


def test_numpy_arrays_and_torch_tensors_are_the_same_to_a_kernel(fast_rt: Runtime) -> None:
    gate_up = torch.randn(3, 8)
    from_torch, from_numpy = torch.empty(3, 4), torch.empty(3, 4)
    _kernels.silu_mul(fast_rt.native, gate_up, from_torch)
    _kernels.silu_mul(fast_rt.native, gate_up.numpy(), from_numpy.numpy())  # type: ignore[arg-type]
    assert torch.equal(from_torch, from_numpy)


def test_a_parameter_is_a_tensor(fast_rt: Runtime) -> None:
    gate_up = torch.nn.Parameter(torch.randn(3, 8))
    out, expected = torch.empty(3, 4), torch.empty(3, 4)
    _kernels.silu_mul(fast_rt.native, gate_up, out)
    _kernels.silu_mul(fast_rt.native, gate_up.detach(), expected)
    assert torch.equal(out, expected)


def test_a_view_starts_where_it_starts(fast_rt: Runtime) -> None:
    rows = torch.randn(5, 8)
    out, expected = torch.empty(2, 4), torch.empty(2, 4)
    _kernels.silu_mul(fast_rt.native, rows[3:], out)
    _kernels.silu_mul(fast_rt.native, rows[3:].clone(), expected)
    assert torch.equal(out, expected)


@pytest.mark.parametrize("nothing", [None, 3, "tensor", [1.0, 2.0]])
def test_what_is_no_array_is_refused(fast_rt: Runtime, nothing: object) -> None:
    with pytest.raises(TypeError):
        _kernels.silu_mul(fast_rt.native, nothing, torch.empty(3, 4))  # type: ignore[arg-type]


def test_a_read_only_result_is_refused(fast_rt: Runtime) -> None:
    out = torch.zeros(3, 4).numpy()
    out.flags.writeable = False
    with pytest.raises(TypeError):
        _kernels.silu_mul(fast_rt.native, torch.randn(3, 8), out)  # type: ignore[arg-type]


def test_a_tensor_elsewhere_is_named(fast_rt: Runtime) -> None:
    with pytest.raises((ShapeError, TypeError)):
        _kernels.silu_mul(fast_rt.native, torch.empty(3, 8, device="meta"), torch.empty(3, 4))


def test_a_call_keeps_no_reference(fast_rt: Runtime) -> None:
    gate_up, out = torch.randn(3, 8), torch.empty(3, 4)
    before = sys.getrefcount(gate_up), sys.getrefcount(out)
    for _ in range(10):
        _kernels.silu_mul(fast_rt.native, gate_up, out)
    assert (sys.getrefcount(gate_up), sys.getrefcount(out)) == before
