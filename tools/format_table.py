"""What each GGUF format costs a model: accuracy on held-out tasks and divergence from the original.

    python tools/format_table.py                                   the embedded K25-nano, every format
    python tools/format_table.py --formats q4_0 q2_k --problems 50 --tasks sums facts
    python tools/format_table.py --formats --files nano-Q4_K_M.gguf    files that someone else quantised

Each row: the model written with its experts in that format (the rest in --non-experts), or a given file of the same
model; its size, the mean Kullback-Leibler divergence of the next-token distribution from the original's over the
original's own replies, how often the likeliest token is the same, and how many held-out problems it answers. The first
row is the original. Markdown on standard output; progress on standard error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from moonlet.chat.messages import parse_messages
from moonlet.checkpoint.hub import resolve_model
from moonlet.cli.main import run
from moonlet.config import EngineOptions
from moonlet.engine import LLM, SamplingParams
from moonlet.engine.load import LoadedModel, load_model
from moonlet.formats.gguf import block_type
from moonlet.formats.gguf.quantize import writable_types
from moonlet.model import ForwardBatch
from moonlet.train.answer import EngineAnswerer
from moonlet.train.evaluate import evaluate, held_out
from moonlet.train.options import EvaluateOptions
from moonlet.train.scores import MODES
from moonlet.train.tasks import TASKS, Task

FLOATS = ("F32", "F16")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    bits: str
    num_bytes: int
    divergence: float
    same: float
    accuracy: float

    def markdown(self) -> str:
        return (
            f"| {self.name} | {self.bits} | {self.num_bytes / 1e6:.2f} | {self.divergence:.5f} | "
            f"{self.same:.1%} | {self.accuracy:.1%} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a checkpoint's directory; K25-nano if not given")
    names = [name.lower() for name in writable_types() if name not in FLOATS]
    parser.add_argument("--formats", nargs="*", default=names, choices=names)
    parser.add_argument("--files", nargs="*", type=Path, default=[], help="GGUF files of the same model to add")
    parser.add_argument("--non-experts", default="bf16", help="type of everything but the routed experts")
    parser.add_argument("--problems", type=int, default=20, help="held-out problems a task and mode")
    parser.add_argument("--tasks", nargs="+", help="names of tasks; all if not given")
    options = parser.parse_args(arguments)
    directory = resolve_model(options.model)
    tasks = [task for task in TASKS if not options.tasks or task.name in options.tasks]
    evaluation = EvaluateOptions(problems=options.problems)

    original = load_model(directory, EngineOptions(reference=True, context_length=2048))
    texts = replies(directory, original, tasks)
    expected = [log_probabilities(original, ids) for ids in texts]
    print("| experts | bits | MB | mean KL | same token | accuracy |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    size = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
    print(Row("INT4 (published)", "4.500", size, 0, 1, accuracy(directory, tasks, evaluation)).markdown(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.formats:
            path = Path(folder) / f"{name}.gguf"
            if not convert(directory, path, name, options.non_experts):
                return 1
            experts = block_type(name.upper())
            label = (experts.name, f"{experts.bits_per_weight:.3f}")
            print(measure(path, label, texts, expected, tasks, evaluation).markdown(), flush=True)
            path.unlink()
    for path in options.files:
        print(measure(path, (path.stem, "mixed"), texts, expected, tasks, evaluation).markdown(), flush=True)
    return 0


def convert(directory: Path, path: Path, name: str, non_experts: str) -> bool:
    """`moonlet convert`, which says by itself what went wrong; its report goes to standard error."""
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        return run(["convert", str(directory), str(path), "--to", name, "--non-experts", non_experts]) == 0
    finally:
        sys.stdout = stdout


def measure(
    path: Path,
    label: tuple[str, str],
    texts: list[Tensor],
    expected: list[Tensor],
    tasks: list[Task],
    evaluation: EvaluateOptions,
) -> Row:
    model = load_model(path, EngineOptions(reference=True, context_length=2048))
    divergence = same = count = 0.0
    for ids, reference in zip(texts, expected, strict=True):
        found = log_probabilities(model, ids)
        divergence += float((reference.exp() * (reference - found)).sum())
        same += float((reference.argmax(-1) == found.argmax(-1)).sum())
        count += len(ids)
    return Row(
        *label,
        path.stat().st_size,
        divergence / count,
        same / count,
        accuracy(path, tasks, evaluation),
    )


def accuracy(path: Path, tasks: list[Task], evaluation: EvaluateOptions) -> float:
    scores = evaluate(EngineAnswerer(LLM(path, EngineOptions(context_length=2048))), evaluation, tasks).scores
    print(f"{path.name}: {[f'{s.task}/{s.mode} {s.accuracy:.0%}' for s in scores]}", file=sys.stderr)
    return sum(score.num_correct for score in scores) / sum(score.num_problems for score in scores)


def replies(directory: Path, original: LoadedModel, tasks: list[Task]) -> list[Tensor]:
    """Token ids of a few held-out prompts, each with the original's own greedy reply: [T] int64 each."""
    llm = LLM(directory, EngineOptions(context_length=2048))
    sampling = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=192)
    texts = []
    for task in tasks:
        for mode, thinks in MODES:
            for conversation in held_out(task, mode, thinks, EvaluateOptions(problems=2)):
                messages = [{"role": "user", "content": conversation.problem.user}]
                reply = llm.chat(messages, thinking=thinks, sampling=sampling)
                prompt = original.template.render(parse_messages(messages), thinking=thinks).ids
                texts.append(torch.tensor([*prompt, *reply.token_ids]))
    return texts


def log_probabilities(model: LoadedModel, ids: Tensor) -> Tensor:
    """Of every next token of one text, [T, vocab_size] float64."""
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
    return torch.log_softmax(model.forward(batch, model.new_cache(pages)).double(), dim=-1)


if __name__ == "__main__":
    sys.exit(main())
