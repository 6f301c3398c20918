"""`moonlet` as a program of its own over a scripted model: `python -m tests.fakes.program chat ...`, or `serve ...`.

MOONLET_FAKE_REPLIES: JSON list of replies, one a turn.  MOONLET_FAKE_CALL: instead, JSON of the one tool call that an
agent is told to make (`name`, `arguments`) before it gets its `answer`.  Neither: the real model.
MOONLET_FAKE_STEP_S: seconds a forward pass takes.  MOONLET_FAKE_LOAD_S: seconds the model takes to load.
MOONLET_FAKE_EYES: the model sees.  MOONLET_FAKE_VOCABULARY: folder of another tokenizer.
MOONLET_FAKE_RECORD: file to which the server adds every request, a JSON line each, as one of MOONLET_FAKE_CLIENT.
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.cli import load_model, main
from moonlet.config import EngineOptions
from moonlet.engine import Engine
from moonlet.server import serve
from tests.fakes.engines import TINY
from tests.fakes.recorder import Recorder
from tests.fakes.scripted_model import ScriptedModel, agent_script, reciting_script
from tests.fakes.vision import FakeEncoder

CONTEXT_LENGTH = 1024


def _fake_llm(_: str | None, options: EngineOptions, **__: Any) -> Engine:
    time.sleep(float(os.environ.get("MOONLET_FAKE_LOAD_S", "0")))
    folder = Path(os.environ.get("MOONLET_FAKE_VOCABULARY", TINY))
    tokenizer = Tokenizer.from_dir(folder)
    if "MOONLET_FAKE_CALL" in os.environ:
        script = agent_script(tokenizer, **json.loads(os.environ["MOONLET_FAKE_CALL"]))
    else:
        script = reciting_script(tokenizer, json.loads(os.environ["MOONLET_FAKE_REPLIES"]))
    context_length = options.context_length or CONTEXT_LENGTH
    model = ScriptedModel(script, tokenizer.vocab_size, max_position_embeddings=context_length)
    if "MOONLET_FAKE_EYES" in os.environ:
        model.vision = FakeEncoder()
    step_s = float(os.environ.get("MOONLET_FAKE_STEP_S", "0"))
    model.before_pass = lambda: time.sleep(step_s)
    template = ChatTemplate.from_dir(folder, tokenizer)
    # Room for two conversations: agents ask for a title or a summary beside the request that counts.
    return Engine(
        model,
        tokenizer,
        template,
        context_length=context_length,
        chunk_size=64,
        cache_tokens=2 * context_length,
    )


if __name__ == "__main__":
    if {"MOONLET_FAKE_REPLIES", "MOONLET_FAKE_CALL"} & set(os.environ):
        load_model.LLM = _fake_llm  # type: ignore[assignment,misc]
    if "MOONLET_FAKE_RECORD" in os.environ:
        record, client = Path(os.environ["MOONLET_FAKE_RECORD"]), os.environ.get("MOONLET_FAKE_CLIENT", "")
        serve.build_app = partial(Recorder.around, serve.build_app, record, client)  # type: ignore[assignment]
    main.main()
