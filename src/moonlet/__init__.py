"""moonlet: runs Kimi K2.5 on hardware people own.

The public names are resolved on first use, so that `import moonlet` (and `moonlet --help`) stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moonlet.engine import LLM, Reply, SamplingParams

__version__ = "0.1.0"
__all__ = ["LLM", "Reply", "SamplingParams", "__version__"]


def __getattr__(name: str) -> Any:
    if name in {"LLM", "Reply", "SamplingParams"}:
        import moonlet.engine

        return getattr(moonlet.engine, name)
    raise AttributeError(f"module 'moonlet' has no attribute {name!r}")
