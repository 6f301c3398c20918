"""Read a JSON file that somebody else wrote: bounded, strict, and with one clear line for every way it can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from moonlet.errors import UserError

JsonObject = dict[str, Any]
"""A parsed object; it does not travel past the parser that asked for it."""


class _RefusedError(ValueError):
    """A construct json would accept and we do not."""


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found: JsonObject = {}
    for key, value in pairs:
        # json keeps the last of two equal keys; two readers could then disagree about a model fact.
        if key in found:
            raise _RefusedError(f"key {key!r} occurs twice in one object")
        found[key] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is not JSON")


def parse_json_object(data: bytes, name: str, error: type[UserError]) -> JsonObject:
    """Parse `data` as one JSON object.

    name: how the source is called in messages, such as "config.json".
    Raises `error` for invalid UTF-8, invalid JSON, duplicate keys, NaN or Infinity, nesting too deep for the
    parser, and a top level that is not an object.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as cause:
        raise error(f"{name}: not UTF-8 at byte {cause.start}; the file may be damaged, fetch it again") from None
    except RecursionError:
        raise error(f"{name}: nested too deeply to be a model file") from None
    except json.JSONDecodeError as cause:
        raise error(
            f"{name}: not valid JSON at line {cause.lineno} column {cause.colno} ({cause.msg}); "
            "the file may be cut short, fetch it again"
        ) from None
    except ValueError as cause:
        raise error(f"{name}: {one_line(str(cause))}") from None
    if not isinstance(value, dict):
        raise error(f"{name}: holds a {type(value).__name__}, expected an object")
    return value


def read_json_object(path: Path, max_bytes: int, error: type[UserError]) -> JsonObject:
    """Read at most `max_bytes` of the file at `path` and parse them with `parse_json_object`.

    Raises `error` also when the file cannot be read, is no regular file or is larger than `max_bytes`.
    """
    try:
        if not path.is_file():
            raise error(f"{path}: not a file; expected a JSON file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise error(f"{path}: {size:,} bytes, expected at most {max_bytes:,}; is this a model's file?")
            data = file.read(max_bytes + 1)
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror or cause})") from None
    return parse_json_object(data, path.name, error)


def one_line(text: str, limit: int = 200) -> str:
    """`text` as one printable line of at most `limit` characters, for quoting foreign text in a message."""
    line = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= limit else line[: limit - 3] + "..."
