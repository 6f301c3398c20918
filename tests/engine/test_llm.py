"""The face a program uses, over a real checkpoint (tiny, random weights)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import moonlet
from moonlet.config import EngineOptions
from moonlet.engine import LLM, SamplingParams
from moonlet.errors import CheckpointError, ContextLengthError
from tests.fakes.engines import TINY


def test_the_public_names_are_where_the_readme_says():
    assert moonlet.LLM is LLM
    assert moonlet.SamplingParams is SamplingParams


def test_a_checkpoint_chats_and_reports_plan_and_progress():
    plans, steps = [], []
    llm = moonlet.LLM(
        TINY,
        EngineOptions(context_length=512, num_threads=1),
        progress=lambda done, total: steps.append((done, total)),
        on_plan=plans.append,
    )
    assert len(plans) == 1
    assert steps[-1][0] == steps[-1][1]
    assert llm.context_length == 512
    question, sampling = [{"role": "user", "content": "hi"}], SamplingParams(max_tokens=5, seed=1)
    reply = llm.chat(question, sampling=sampling)
    assert reply.usage.completion_tokens == len(reply.token_ids) <= 5
    assert llm.chat(question, sampling=sampling).token_ids == reply.token_ids
    with pytest.raises(ContextLengthError, match="the context holds 512"):
        llm.chat([{"role": "user", "content": "word " * 600}])


def test_a_directory_that_is_no_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such directory"):
        LLM(tmp_path / "nothing")


def test_a_shard_cut_short_is_refused_before_anything_runs(tmp_path: Path):
    copy = tmp_path / "model"
    shutil.copytree(TINY, copy)
    shard = min(copy.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=shard.name):
        LLM(copy)
