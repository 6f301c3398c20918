"""A GGUF file through the whole engine: the same model as the published checkpoint it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from moonlet.checkpoint.gguf import open_gguf
from moonlet.checkpoint.gguf.writer import write_gguf
from moonlet.cli.main import run
from moonlet.config import EngineOptions
from moonlet.engine.load import LoadedModel, load_model
from moonlet.engine.placement import Placer
from moonlet.errors import ConfigError
from moonlet.kernels import block_formats
from moonlet.kernels.weights import BlockWeight
from moonlet.model import ForwardBatch
from tests.checkpoint.gguf.files import TINY, write_tiny

EXPECTED = load_file(TINY / "expected.safetensors")


def logits(model: LoadedModel, ids: Tensor) -> Tensor:
    """Of every token of one sequence in one forward pass, [T, vocab_size]."""
    count = len(ids)
    positions = torch.arange(count)
    pages = -(-count // 64)
    batch = ForwardBatch(
        input_ids=ids,
        positions=positions,
        slots=positions,
        page_tables=torch.arange(pages, dtype=torch.int32)[None],
        seq_idx=torch.zeros(count, dtype=torch.int32),
        context_lens=(positions + 1).to(torch.int32),
        logits_rows=positions,
    )
    return model.forward(batch, model.new_cache(pages))


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("lossless") / "tiny.gguf")[0]


def test_the_reference_path_gives_the_golden_logits_and_greedy_tokens(lossless: Path) -> None:
    model = load_model(lossless, EngineOptions(reference=True, context_length=256, num_threads=1))
    ids = EXPECTED["text.input_ids"][0] if EXPECTED["text.input_ids"].dim() == 2 else EXPECTED["text.input_ids"]
    found = logits(model, ids)
    difference = (found - EXPECTED["text.logits"]).abs()
    assert difference.max() < 1e-4, (difference.max(), difference.mean())
    greedy = EXPECTED["greedy.ids"]
    follow = logits(model, torch.cat([ids, greedy[:-1]]))[len(ids) - 1 :].argmax(-1)
    assert torch.equal(follow, greedy)


def test_the_kernel_path_agrees_with_the_published_files(lossless: Path) -> None:
    """The same integers in another order, int8 activations and all; scales are the same numbers as halves."""
    options = EngineOptions(context_length=256, num_threads=1)
    ids = EXPECTED["text.input_ids"]
    found = logits(load_model(lossless, options), ids)
    expected = logits(load_model(TINY, options), ids)
    assert (found - expected).abs().mean() < 0.03
    assert (found.argmax(-1) == expected.argmax(-1)).float().mean() > 0.9


@pytest.mark.parametrize(("experts", "mean_error"), [("Q8_0", 0.2), ("Q4_K", 0.25)])
def test_the_kernels_multiply_by_the_blocks_of_the_file(experts: str, mean_error: float, tmp_path: Path) -> None:
    """Bounds: INT8 activations everywhere drift 0.12 on the published one too (dense "int8"), by router flips."""
    path = write_tiny(tmp_path / "tiny.gguf", experts=experts, others="Q8_0")[0]
    model = load_model(path, EngineOptions(context_length=256, num_threads=1))
    placer = Placer(open_gguf(path), torch.device("cpu"), int8_linears=False, block_formats=block_formats())
    kept = placer.source().linear("model.layers.0.self_attn.o_proj.weight")
    assert isinstance(kept, BlockWeight)
    assert kept.block_format == "Q8_0"
    reference = load_model(path, EngineOptions(reference=True, context_length=256, num_threads=1))
    difference = (logits(model, EXPECTED["text.input_ids"]) - logits(reference, EXPECTED["text.input_ids"])).abs()
    assert difference.mean() < mean_error, (difference.max(), difference.mean())


@pytest.mark.parametrize(("experts", "mean_error"), [("Q8_0", 1e-4), ("Q4_K", 0.08)])
def test_coarser_experts_drift_further(experts: str, mean_error: float, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", experts=experts)[0]
    model = load_model(path, EngineOptions(reference=True, context_length=256, num_threads=1))
    difference = (logits(model, EXPECTED["text.input_ids"]) - EXPECTED["text.logits"]).abs()
    assert difference.mean() < mean_error


def test_the_plan_counts_the_experts_as_stored(lossless: Path) -> None:
    plans: list[int] = []
    options = EngineOptions(context_length=256, num_threads=1)
    load_model(lossless, options, on_plan=lambda plan: plans.append(plan.expert_bytes))
    # Three layers of sixteen experts, three matrices of 256 x 256 each, 4.5 bits a weight.
    assert plans == [3 * 16 * 3 * 256 * 256 * 18 // 32]


def test_the_command_converts_and_chats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tiny.gguf"
    assert run(["convert", str(TINY), str(target), "--to", "q4_0", "--non-experts", "q8_0"]) == 0
    assert "tiny.gguf" in capsys.readouterr().out
    asked = ["--prompt", "hi", "--max-tokens", "4", "--seed", "1", "--num-threads", "1", "--context-length", "256"]
    assert run(["chat", "--model", str(target), *asked]) == 0
    # The thoughts of a cut reply go to standard error, beside what loading says.
    assert "routed experts mapped" in capsys.readouterr().err
    assert run(["inspect", "--check", str(target)]) == 0
    assert "Q4_0" in capsys.readouterr().out
    assert run(["convert", str(target), str(tmp_path / "again.gguf"), "--to", "q2_k"]) == 2
    assert "GGUF to GGUF" in capsys.readouterr().err
    assert run(["convert", str(TINY), str(tmp_path / "tiny"), "--to", "q4_0"]) == 2
    assert "expected a name that ends in .gguf" in capsys.readouterr().err


def test_a_vision_file_alone_is_told_apart(tmp_path: Path) -> None:
    write_gguf(tmp_path / "mmproj.gguf", {"general.architecture": "clip", "general.type": "mmproj"}, [])
    with pytest.raises(ConfigError, match="mmproj"):
        load_model(tmp_path / "mmproj.gguf", EngineOptions())
