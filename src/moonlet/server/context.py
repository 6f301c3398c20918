"""What the endpoints of one server share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import cast

from moonlet.engine.params import default_sampling as published_sampling
from moonlet.engine.stats import EngineStats
from moonlet.server.engine_face import EngineFace
from moonlet.server.errors import LOADING, MODEL_NOT_FOUND, ApiError
from moonlet.server.files.store import FileStore
from moonlet.server.metrics import Metrics
from moonlet.server.options import ServeOptions
from moonlet.server.rules import ParamPolicy, Rules

logger = logging.getLogger(__name__)

_MAX_LOGGED_NAMES = 200


@dataclass(slots=True)
class Context:
    """Options, the engine once it is loaded, and what is remembered between requests."""

    options: ServeOptions
    files: FileStore = field(default_factory=FileStore)
    loaded_engine: EngineFace | None = None
    is_stopping: bool = False
    metrics: Metrics = field(init=False)
    _logged_names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.engine_stats)

    @property
    def engine(self) -> EngineFace:
        """The engine. Raises ApiError while it is loading, and once the server is stopping."""
        if self.loaded_engine is None:
            raise ApiError(LOADING, "loading model")
        if self.is_stopping:
            raise ApiError(LOADING, "the server is stopping")
        return self.loaded_engine

    @property
    def model_name(self) -> str:
        return self.engine.facts.name

    def engine_stats(self) -> EngineStats | None:
        """This moment of the engine; None while it is loading."""
        return None if self.loaded_engine is None else self.loaded_engine.stats()

    def rules(self) -> Rules:
        """What parsers need to know."""
        engine = self.engine
        policy = cast(ParamPolicy, self.options.param_policy)
        return Rules(
            default_sampling=published_sampling if policy == "vendor" else engine.default_sampling,
            vocab_size=engine.tokenizer.vocab_size,
            param_policy=policy,
            preserve_thinking=self.options.preserve_thinking,
            max_output_tokens=self.options.max_output_tokens,
        )

    def check_model(self, name: str | None) -> None:
        """Raises ApiError for another model's name, where the server is strict about it."""
        if self.options.strict_model and name is not None and name != self.model_name:
            shown = name if len(name) <= 100 else name[:100] + "..."
            raise ApiError(MODEL_NOT_FOUND, f"model: {shown!r} is not served here, only {self.model_name!r} is")

    def note_unknown(self, path: str, name: str) -> None:
        """Log a field that was ignored, once for each name."""
        key = f"{path} {name[:60]}"
        if key not in self._logged_names and len(self._logged_names) < _MAX_LOGGED_NAMES:
            self._logged_names.add(key)
            logger.info("%s: ignored unknown field %r", path, name[:60])
