"""What a user may choose about training and evaluation. The recipe itself is data, in `recipe.py`."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.config.options import check_options, option


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to run the recipe. Construction refuses impossible values with OptionError."""

    steps: int | None = option(None, "Stop after this many steps in all; the whole recipe if not given.", low=1)
    hours: float | None = option(None, "Stop after this long; the next run goes on from there.", low=0.0, unit="hours")
    device: str = option("cpu", "Where to train.", choices=("cpu", "cuda"))
    seed: int = option(25, "Seed of the first weights and of every batch.", low=0)
    fresh: bool = option(False, "Start anew even where a stopped run left its state.")
    rows: int = option(4, "Packed rows in a batch.", low=1)
    row_tokens: int = option(896, "Tokens in a packed row; longer conversations are drawn again.", low=64)
    float32: bool = option(False, "Multiply in float32 instead of bfloat16 (weights are float32 either way).")
    workers: int = option(2, "CPU threads, each with its part of every batch.", low=1, high=256)
    save_every: float = option(240.0, "Time between saved states.", low=1.0, unit="seconds")
    report_every: int = option(50, "Steps between lines of the log.", low=1)
    check_every: int = option(500, "Steps between quick held-out checks; 0 for none.", low=0)

    def __post_init__(self) -> None:
        """Hold every value against its declaration."""
        check_options(self)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to measure a checkpoint. Construction refuses impossible values with OptionError."""

    problems: int = option(500, "Held-out problems of each task in each mode.", low=1)
    problem_seed: int = option(2025, "Seed that draws the held-out problems.", low=0)
    processes: int = option(2, "Processes that share the tasks; the scores do not depend on it.", low=1, high=256)
    max_tokens: int = option(320, "Longest reply, reasoning included.", low=1, unit="tokens")
    constrained: bool = option(False, "Hold tool arguments and JSON to their schemas while sampling.")

    def __post_init__(self) -> None:
        """Hold every value against its declaration."""
        check_options(self)
