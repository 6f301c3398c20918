"""Loading the model that is to be served."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from moonlet.chat.template import template_source
from moonlet.checkpoint.hub import resolve_model
from moonlet.cli.load_model import BUILT_IN, load
from moonlet.cli.terminal import standard_error
from moonlet.config import EngineOptions
from moonlet.engine.dialect import ToolRendering
from moonlet.server.engine_face import ModelFacts
from moonlet.server.local_engine import LocalEngine
from moonlet.server.options import ServeOptions


def load_for_serving(model: str | None, options: EngineOptions, serving: ServeOptions) -> LocalEngine:
    """The engine behind the server's face. Raises UserError in one line."""
    llm = load(
        model,
        options,
        standard_error(),
        tool_rendering=cast(ToolRendering, serving.tool_rendering),
    )
    facts = ModelFacts(
        name=serving.served_name or (BUILT_IN if model is None else Path(model).name),
        created=int(time.time()),
        supports_images=llm.sees,
        supports_video=llm.sees,
        chat_template=template_source(resolve_model(model))[0],
    )
    return LocalEngine(llm, facts)
