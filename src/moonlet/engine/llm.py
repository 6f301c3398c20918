"""A checkpoint to chat with.

llm = LLM("path/to/checkpoint")
print(llm.chat([{"role": "user", "content": "hi"}]).content)
"""

from __future__ import annotations

from pathlib import Path

from moonlet.cache import DiskTier, KvFolder
from moonlet.checkpoint.hub import resolve_model
from moonlet.config import EngineOptions
from moonlet.engine.dialect import ToolRendering
from moonlet.engine.engine import Engine
from moonlet.engine.load import PlanReport, load_model
from moonlet.engine.placement import Progress


class LLM(Engine):
    """A checkpoint, loaded and ready: K2.5 or another model of its kind, or the built-in K25-nano."""

    def __init__(
        self,
        model: str | Path | None = None,
        options: EngineOptions | None = None,
        *,
        progress: Progress | None = None,
        on_plan: PlanReport | None = None,
        tool_rendering: ToolRendering = "typed",
    ) -> None:
        """model: a directory in the published format, or the hub id of one downloaded before; None for K25-nano.

        progress: called with the bytes in place and in all, again and again while loading.
        on_plan: called with the memory plan before anything is loaded.
        tool_rendering: how tools without a TypeScript form are shown.
        Raises ConfigError, CheckpointError, TemplateError, OptionError or OutOfMemoryError.
        """
        directory = resolve_model(model)
        options = options or EngineOptions()
        # Before the weights are: a folder that cannot be used is told at once.
        folder = None if options.kv_dir is None else KvFolder(Path(options.kv_dir), options.kv_dir_bytes)
        loaded = load_model(directory, options, progress=progress, on_plan=on_plan)
        self.config = loaded.config
        self.plan = loaded.plan
        self.int8_loss = loaded.int8_loss
        super().__init__(
            loaded,
            loaded.tokenizer,
            loaded.template,
            context_length=loaded.context_length,
            chunk_size=options.chunk_size,
            cache_tokens=loaded.plan.cache_tokens,
            feature_bytes=loaded.plan.feature_bytes,
            max_running=options.max_running,
            max_queue=options.max_queue,
            stop_ids=frozenset(loaded.config.text.eos_token_ids),
            is_greedy_by_default=loaded.config.is_greedy_by_default,
            media_config=loaded.media_config,
            tool_rendering=tool_rendering,
            disk=None if folder is None else DiskTier(folder, loaded.fingerprint),
            rt=loaded.rt,
        )
