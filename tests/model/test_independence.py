"""DESIGN decision 3: on the CPU kernels a token's logits are the same bits whatever the chunking and threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from moonlet.kernels import Runtime
from moonlet.model import Decoder

from .conftest import run


@pytest.fixture(scope="module")
def whole(on_kernels: Callable[..., Decoder], expected: dict[str, Tensor]) -> Tensor:
    return run(on_kernels(num_threads=1), expected["long.input_ids"][:150], kv_dtype=torch.float16)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("chunk_size", [1, 7, 64, None])
def test_same_bits_for_every_chunking_and_thread_count(
    on_kernels: Callable[..., Decoder],
    expected: dict[str, Tensor],
    whole: Tensor,
    chunk_size: int | None,
    num_threads: int,
) -> None:
    decoder = on_kernels(num_threads=num_threads)
    logits = run(decoder, expected["long.input_ids"][:150], chunk_size=chunk_size, kv_dtype=torch.float16)
    assert torch.equal(logits, whole)


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "avx512bf16"])
def test_every_isa_level_agrees_with_the_chosen_one(
    on_kernels: Callable[..., Decoder], expected: dict[str, Tensor], whole: Tensor, isa: str
) -> None:
    if isa not in Runtime(1).supported_isas:
        pytest.skip(f"this machine has no {isa}")
    logits = run(on_kernels(isa=isa), expected["long.input_ids"][:150], kv_dtype=torch.float16)
    assert torch.equal(logits, whole)
