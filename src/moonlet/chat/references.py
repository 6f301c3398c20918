"""References inside a JSON Schema (`#/$defs/Point`), for whoever reads a tool's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote


def is_local(reference: Any) -> bool:
    """Whether `reference` names a part of its own schema by its path."""
    return isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))


def target_of(root: Any, reference: str) -> Any:
    """What a local reference points to; None if it leads nowhere. Source: RFC 6901, section 6."""
    node = root
    for step in unquote(reference[1:]).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(step)
        elif isinstance(node, list) and step.isascii() and step.isdigit() and len(step) < 7 and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node
