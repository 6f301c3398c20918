"""Runs in the rival's own interpreter, which need not have moonlet: python worker.py DRIVER

Questions come in on standard input and answers leave on standard output, a JSON object a line each. The first answer
says who the rival is, or that it is absent.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def main() -> None:
    # Engines print to standard output as they please; the answers keep a copy that those prints cannot reach.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**facts: object) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    driver = importlib.import_module(sys.argv[1])
    try:
        name = driver.name()
    except ImportError as cause:
        answer(absent=str(cause))
        return
    except Exception as cause:
        answer(error=_first_line(cause))
        return
    answer(name=name)
    engine: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if engine is None:
                engine = driver.Engine(**question)
                answer(ready=True)
            else:
                prefill_s, step_s = engine.lap(question["prompt"], question["following"])
                answer(prefill_s=prefill_s, step_s=step_s, peak_resident_bytes=_peak_resident_bytes())
        except Exception as cause:
            answer(error=_first_line(cause))


def _first_line(cause: Exception) -> str:
    return f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"


def _peak_resident_bytes() -> int | None:
    try:
        with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123
            found = [line for line in status if line.startswith("VmHWM:")]
    except OSError:
        return None
    return int(found[0].split()[1]) * 1024 if found else None


if __name__ == "__main__":
    main()
