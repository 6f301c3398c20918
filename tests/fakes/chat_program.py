"""`moonlet` as a program of its own over a scripted model: `python -m tests.fakes.chat_program chat ...`.

MOONLET_FAKE_REPLIES: JSON list of replies, one a turn.  MOONLET_FAKE_STEP_S: seconds a forward pass takes.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from moonlet.cli import load_model, main
from moonlet.engine import Engine
from tests.fakes.engines import engine_of, reciting_model


def _fake_llm(*_: Any, **__: Any) -> Engine:
    model = reciting_model(*json.loads(os.environ["MOONLET_FAKE_REPLIES"]))
    step_s = float(os.environ.get("MOONLET_FAKE_STEP_S", "0"))
    model.before_pass = lambda: time.sleep(step_s)
    return engine_of(model, context_length=1024, chunk_size=64)


if __name__ == "__main__":
    load_model.LLM = _fake_llm  # type: ignore[assignment,misc]
    main.main()
