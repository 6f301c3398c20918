"""What a user may choose about training and evaluation; each field carries the help text of its flag."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to run the recipe. The recipe itself (stages, mixture, learning rates) is data in `recipe.py`."""

    output_dir: Path = field(metadata={"help": "folder for the training state, the log and, at the end, the checkpoint"})
    steps: int | None = field(default=None, metadata={"help": "stop after this many steps in all (default: the whole recipe)"})
    hours: float | None = field(default=None, metadata={"help": "stop after this many hours of this run; resume goes on later"})
    device: str = field(default="cpu", metadata={"help": "torch device, for example cpu or cuda"})
    seed: int = field(default=25, metadata={"help": "seed of the weights and of every batch"})
    resume: bool = field(default=True, metadata={"help": "go on from the state in output_dir, if there is one"})
    init_from: Path | None = field(default=None, metadata={"help": "start from this checkpoint's weights instead of random ones"})
    rows: int = field(default=20, metadata={"help": "packed rows in a batch"})
    row_tokens: int = field(default=160, metadata={"help": "tokens in a packed row"})
    bf16: bool = field(default=True, metadata={"help": "multiply in bfloat16; weights and optimiser stay float32"})
    threads: int = field(default=2, metadata={"help": "CPU threads"})
    save_every_s: float = field(default=240.0, metadata={"help": "seconds between saved states"})
    report_every: int = field(default=50, metadata={"help": "steps between lines of the log"})
    check_every: int = field(default=500, metadata={"help": "steps between held-out checks (0: none)"})


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to measure a checkpoint."""

    num_problems: int = field(default=500, metadata={"help": "held-out problems of each task and mode"})
    seed: int = field(default=2025, metadata={"help": "seed of the held-out problems"})
    batch_size: int = field(default=64, metadata={"help": "conversations decoded together"})
    max_tokens: int = field(default=160, metadata={"help": "longest reply, reasoning included"})
