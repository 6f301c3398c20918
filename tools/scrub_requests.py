"""Requests recorded with `tools/check_clients.py --record FILE`, made small and impersonal, as test vectors.

    python tools/scrub_requests.py FILE > tests/vectors/clients/requests.jsonl

Of each conversation the request with the result of the tool is kept. Fields and shapes stay as the program sent them;
long texts become their first words, tools lose their descriptions, and all but the first two, the unusual ones and the
one that was called are left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT_TOOLS = 2
MAX_TEXT = 60
MAX_BEGINNING = 30
"""Characters of a longer text that stay; some tell what it is."""
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{16,}\b")
# What is not prose: it says how a message is to be read, or is read by a program.
_KEPT = frozenset(
    {"type", "role", "name", "id", "call_id", "tool_call_id", "tool_use_id", "arguments", "encrypted_content"}
)


def main() -> None:
    for line in Path(sys.argv[1]).read_text().splitlines():
        request = json.loads(line)
        body = request["body"]
        items = body.get("messages") or body.get("input") if isinstance(body, dict) else None
        for name, arguments in calls_in(items):
            small = {**scrubbed(body), "tools": [bare(tool) for tool in chosen(body["tools"], name)]}
            kept = {"client": request["client"], "path": request["path"], "tool": name, "arguments": arguments}
            print(json.dumps({**kept, "body": small}))


def calls_in(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and arguments of every call, in every API's shape."""
    if isinstance(value, dict):
        arguments = value.get("arguments", value.get("input"))
        if isinstance(value.get("name"), str) and arguments is not None:
            yield value["name"], json.loads(arguments) if isinstance(arguments, str) else arguments
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from calls_in(item)


def chosen(tools: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    unusual = [tool for tool in tools if tool.get("type") not in (None, "function", "custom")]
    called = [tool for tool in tools if (tool.get("function") or tool).get("name") == name]
    usual = [tool for tool in tools if tool not in unusual and tool not in called]
    return [*usual[:KEPT_TOOLS], *called, *unusual]


def bare(value: Any) -> Any:
    """Without descriptions, which are prose."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if key != "description" or not isinstance(item, str)}
    return [bare(item) for item in value] if isinstance(value, list) else value


def scrubbed(value: Any, key: str = "") -> Any:
    """`value` with short texts and nobody's ids."""
    if isinstance(value, dict):
        return {name: scrubbed(item, name) for name, item in value.items() if name != "tools"}
    if isinstance(value, list):
        return [scrubbed(item, key) for item in value]
    if not isinstance(value, str):
        return value
    text = _IDS.sub("0", value)
    return text if key in _KEPT or len(text) <= MAX_TEXT else text[:MAX_BEGINNING] + "..."


if __name__ == "__main__":
    main()
