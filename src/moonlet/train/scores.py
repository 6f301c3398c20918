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
    mean_grade: float | None = None
    """How near the replies came on the mean, 0 to 1, where the task can say (page_code: overlap of boxes)."""
    grade_name: str = ""

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
        grades = self._grades()
        return "\n".join([*lines, "", *grades] if grades else lines)

    def _grades(self) -> list[str]:
        return [
            f"{score.task}, {score.mode}: {score.grade_name} {score.mean_grade:.3f}."
            for score in self.scores
            if score.mean_grade is not None
        ]

    def __str__(self) -> str:
        lines = [f"{'task':12} {'mode':9} {'correct':>11}  accuracy"]
        for score in self.scores:
            share = f"{score.num_correct}/{score.num_problems}"
            lines.append(f"{score.task:12} {score.mode:9} {share:>11}  {score.accuracy:8.1%}")
        return "\n".join([*lines, *self._grades()])
