"""The training state on disk: everything a resumed run needs to do what the stopped one would have done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

STATE_FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """step: steps done so far. The batches need no state: each is a function of the seed and its step."""

    step: int
    seed: int
    model: dict[str, torch.Tensor]
    optimiser: dict[str, Any]


def save_state(folder: Path, state: TrainingState) -> None:
    """Write the state so that a reader, or a run killed half-way, sees the old file or the new one, never a part."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / (STATE_FILE + ".new")
    content = {"step": state.step, "seed": state.seed, "model": state.model, "optimiser": state.optimiser}
    with fresh.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / STATE_FILE)


def load_state(folder: Path) -> TrainingState | None:
    """The last saved state, or None where there is none."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    return TrainingState(content["step"], content["seed"], content["model"], content["optimiser"])
