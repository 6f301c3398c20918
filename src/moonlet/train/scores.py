"""What an evaluation found: per task and mode, with the misses kept for a look at them."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.train.conversation import Conversation

MODES = (("thinking", True), ("instant", False))


@dataclass(frozen=True, slots=True)
class Miss:
    """A wrong reply; reply is None where it did not end."""

    conversation: Conversation
    reply: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one task in one mode."""

    task: str
    mode: str
    num_problems: int
    misses: tuple[Miss, ...]

    @property
    def num_correct(self) -> int:
        return self.num_problems - len(self.misses)

    @property
    def accuracy(self) -> float:
        return self.num_correct / self.num_problems


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """All scores of one checkpoint; `print(table)` shows them."""

    scores: tuple[Score, ...]

    def score(self, task: str, mode: str) -> Score:
        """The score of a task in a mode. Raises KeyError if it was not measured."""
        for score in self.scores:
            if (score.task, score.mode) == (task, mode):
                return score
        raise KeyError(f"{task}/{mode}")

    def markdown(self) -> str:
        """A table with one row a task and one column a mode."""
        names = list(dict.fromkeys(score.task for score in self.scores))
        lines = ["| task | " + " | ".join(mode for mode, _ in MODES) + " |", "| --- |" + " ---: |" * len(MODES)]
        for name in names:
            cells = [f"{self.score(name, mode).accuracy:.1%}" for mode, _ in MODES]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def __str__(self) -> str:
        lines = [f"{'task':12} {'mode':9} {'correct':>11}  accuracy"]
        for score in self.scores:
            share = f"{score.num_correct}/{score.num_problems}"
            lines.append(f"{score.task:12} {score.mode:9} {share:>11}  {score.accuracy:8.1%}")
        return "\n".join(lines)
