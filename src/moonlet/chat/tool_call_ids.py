"""Tool-call ids: `functions.NAME:INDEX`, INDEX counted over the whole conversation, and what models write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PREFIX = "functions."
_INDEX = re.compile(r":(\d{1,9})\s*$", re.ASCII)


class ToolCallIds:
    """Gives each call of a reply its id: the model's own where it is whole and new, else the next free one."""

    def __init__(self, num_earlier_tool_calls: int = 0, earlier_ids: Iterable[str] = ()) -> None:
        """num_earlier_tool_calls: calls before this reply. earlier_ids: their ids, none of which is given again."""
        self._next_index = num_earlier_tool_calls
        self._taken = set(earlier_ids)

    def assign(self, header: str) -> tuple[str, str]:
        """(id, name) for the text the model wrote between call begin and arguments; name "" if there is none.

        Accepts `functions.NAME:INDEX`, `NAME:INDEX`, `functions.NAME` and `NAME`, names with dots and hyphens included.
        """
        header = header.strip()
        index = _INDEX.search(header)
        name = (header[: index.start()] if index else header).removeprefix(_PREFIX).strip()
        if not name:
            return "", ""
        call_id = f"{_PREFIX}{name}:{index.group(1) if index else self._next_index}"
        free_index = self._next_index
        while call_id in self._taken:
            call_id = f"{_PREFIX}{name}:{free_index}"
            free_index += 1
        self._taken.add(call_id)
        self._next_index = max(self._next_index, int(call_id.rpartition(":")[2])) + 1
        return call_id, name
