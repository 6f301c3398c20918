"""A rival as a contestant: a process that answers over a pipe."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moonlet.errors import OptionError
from moonlet.evals.speed.laps import Lap
from moonlet.evals.speed.rivals.table import RIVALS

_END_S = 10.0
"""Patience for a rival to end once it is told to."""


class RivalProcess:
    """Started by the constructor, ended by leaving the `with` block."""

    def __init__(self, rival: str, python: str) -> None:
        """rival: a key of RIVALS.  python: the interpreter in which it is installed.

        Raises OptionError, with how to install it, where it is absent.
        """
        self._rival = rival
        row = RIVALS[rival]
        command = [python, str(Path(__file__).with_name("worker.py")), row.driver]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as cause:
            raise OptionError(f"rival python is {python}: it cannot be started ({cause.strerror})") from None
        self.peak_resident_bytes: int | None = None
        try:
            found = self._answer()
            if "absent" in found:
                raise OptionError(
                    f"rival {rival} needs {row.packages} in {python}: {found['absent']}; install it with "
                    f"{row.install}, or name another interpreter with --rival-python"
                )
            self.name = str(found["name"])
        except BaseException:
            self._end()
            raise

    def open(self, model: Path, *, num_threads: int, context_length: int) -> None:
        """Load `model`. Raises OptionError if the rival refuses it."""
        self._ask({"model": str(model), "num_threads": num_threads, "context_length": context_length})

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        """Have the rival read `prompt` and take as many steps as `following` is long. Raises OptionError."""
        answer = self._ask({"prompt": list(prompt), "following": list(following)})
        self.peak_resident_bytes = answer["peak_resident_bytes"]
        return Lap(answer["prefill_s"], answer["step_s"])

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._gone() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise OptionError(f"rival {self._rival}: {answer['error']}")
        return answer

    def _gone(self) -> OptionError:
        return OptionError(
            f"rival {self._rival}: its process ended with {self._process.wait()}; try it alone on this model, "
            "and look at the memory it needs"
        )

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(_END_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
