"""Runtimes for kernel tests: one per instruction set this machine has, and the scalar one they are compared with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from moonlet.kernels import Runtime

SUPPORTED_ISAS = Runtime(num_threads=1).supported_isas


@pytest.fixture(scope="session", params=SUPPORTED_ISAS)
def rt(request: pytest.FixtureRequest) -> Runtime:
    """A two-thread Runtime of each level this machine has."""
    return Runtime(num_threads=2, isa=request.param)


@pytest.fixture(scope="session")
def scalar_rt() -> Runtime:
    """One thread, plain C++: the truth the other levels must equal."""
    return Runtime(num_threads=1, isa="scalar")


@pytest.fixture(scope="session")
def fast_rt() -> Runtime:
    """One thread at the highest level."""
    return Runtime(num_threads=1)


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> Iterator[None]:
    """Reference results need few cycles, and torch's waiting threads would take them from the Runtimes under test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
