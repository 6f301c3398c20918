"""The GPU path: attention, shared experts, embeddings and cache on the device, routed experts there or on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moonlet.config import EngineOptions
from moonlet.engine import LLM, SamplingParams, load
from moonlet.errors import OptionError

TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"
QUESTION = [{"role": "user", "content": "hello"}]
GREEDY = SamplingParams(temperature=0, max_tokens=8, logprobs=0)

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU on this machine")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_option_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="torch sees no CUDA GPU"):
        LLM(TINY, EngineOptions(device="cuda"))


@needs_gpu
@pytest.mark.parametrize("experts_fit", [True, False], ids=["experts on the GPU", "experts on the CPU"])
def test_first_logprobs_are_near_the_reference(monkeypatch: pytest.MonkeyPatch, experts_fit: bool) -> None:
    monkeypatch.setattr(load, "_fit_on_gpu", lambda *_: experts_fit)
    on_gpu = LLM(TINY, EngineOptions(device="cuda")).chat(QUESTION, sampling=GREEDY)
    reference = LLM(TINY, EngineOptions(reference=True)).chat(QUESTION, sampling=GREEDY)
    assert on_gpu.logprobs is not None
    assert reference.logprobs is not None
    # Only the first token: after it, one near tie chosen otherwise makes two different texts.
    assert on_gpu.logprobs[0].logprob == pytest.approx(reference.logprobs[0].logprob, abs=0.2)
