"""Tool declarations made fit for the TypeScript that the model was trained to read.

The published encoder raises on a node without `type`, `anyOf`, `enum` or `$ref`, and on references outside `#/$defs/`;
then the whole list is shown as JSON, which the model reads less well, because of one node in one tool. Here such a node
is given the nearest form the encoder can write. Only the prompt is changed: arguments are held to the schema as sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moonlet.chat.references import is_local, target_of
from moonlet.chat.tools import ToolDeclaration
from moonlet.chat.tools_ts import MAX_SCHEMA_DEPTH
from moonlet.errors import PromptError

_KNOWN = ("type", "anyOf", "enum", "$ref")
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions")


def renderable_tool(tool: ToolDeclaration) -> ToolDeclaration:
    """`tool` with a declaration that has a TypeScript form. Raises PromptError for a schema nested too deeply."""
    if not tool.parameters:
        return tool
    function = {**tool.declared["function"], "parameters": _Rewriter(tool.parameters).rewrite(tool.parameters)}
    return replace(tool, declared={**tool.declared, "function": function})


class _Rewriter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def rewrite(self, node: Any, depth: int = 0, resolving: tuple[str, ...] = ()) -> Any:
        """`node` so that the encoder can write it; `resolving` are the references it is being put in place of."""
        if depth > MAX_SCHEMA_DEPTH:
            raise PromptError(f"tools: nested more than {MAX_SCHEMA_DEPTH} levels deep; flatten the schema")
        if not isinstance(node, Mapping):
            return node if isinstance(node, bool) else {"type": "any"}
        reference = node.get("$ref")
        if reference is not None and not _is_written(reference):
            return self._resolved(reference, depth, resolving)
        result = dict(node)
        if "oneOf" in result and "anyOf" not in result:
            result["anyOf"] = result.pop("oneOf")
        if "const" in result and "enum" not in result:
            result["enum"] = [result.pop("const")]
        if result and not any(key in result for key in _KNOWN):
            result["type"] = "object" if "properties" in result else "any"
        for key in _MAPS_OF_SCHEMAS:
            if isinstance(result.get(key), Mapping):
                result[key] = {name: self.rewrite(child, depth + 1, resolving) for name, child in result[key].items()}
        if isinstance(result.get("anyOf"), list):
            result["anyOf"] = [self.rewrite(child, depth + 1, resolving) for child in result["anyOf"]]
        for key in ("items", "additionalProperties"):
            if isinstance(result.get(key), Mapping):
                result[key] = self.rewrite(result[key], depth + 1, resolving)
        return result

    def _resolved(self, reference: Any, depth: int, resolving: tuple[str, ...]) -> Any:
        target = target_of(self._root, reference) if is_local(reference) else None
        if target is None or reference in resolving:
            return {"type": "any"}
        return self.rewrite(target, depth + 1, (*resolving, reference))


def _is_written(reference: Any) -> bool:
    """Whether the encoder knows it: the root, or a definition by its name."""
    if not isinstance(reference, str):
        return False
    name = reference.removeprefix("#/$defs/")
    return reference == "#" or (name != reference and "/" not in name)
