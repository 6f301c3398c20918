"""Bytes of a request to JSON, within limits that hold while reading."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from moonlet.server.errors import INVALID, NOT_JSON, TIMED_OUT, TOO_LARGE, ApiError

MAX_DEPTH = 64
MAX_ITEMS = 100_000
"""Messages, parts and everything else that stands in a list, together."""

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_PREFIX = re.compile(r"^(Value error, |Input should be (a valid )?|(List|String|Dictionary) should have )")
_SUFFIX = re.compile(r" after validation, not \d+$")

BodyT = TypeVar("BodyT", bound=BaseModel)


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises ApiError once it is known to be too large, or takes too long to come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(TIMED_OUT, f"the body did not arrive within {timeout_s:g} seconds") from None
    except ClientDisconnect:
        raise ApiError(INVALID, "the body was cut short") from None
    return b"".join(chunks)


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(TOO_LARGE, f"Request exceeds the maximum size of {max_bytes} bytes")


def check_content_type(request: Request) -> None:
    """Raises ApiError for a body that says it is something else than JSON."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type and content_type != "application/json" and not content_type.endswith("+json"):
        raise ApiError(NOT_JSON, f"content-type: found {content_type!r}, expected application/json")


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises ApiError for anything else, and for one nested or listing too much."""
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise ApiError(INVALID, "body: not valid UTF-8 text, expected a JSON object") from None
    except ValueError as error:
        raise ApiError(INVALID, f"body: not valid JSON ({error}), expected an object") from None
    if not isinstance(data, dict):
        raise ApiError(INVALID, f"body: found a JSON {_kind(data)}, expected an object")
    _check_size(data)
    # JavaScript cuts text inside surrogate pairs; half a pair is no text that could be encoded again.
    mended: dict[str, Any] = _mend(data) if _ESCAPED_SURROGATE.search(body) else data
    return mended


def validate(data: dict[str, Any], model: type[BodyT], on_unknown: Callable[[str], None]) -> BodyT:
    """The body of an API. Raises ApiError naming the first field at fault; `on_unknown` hears of ignored ones."""
    try:
        body = model.model_validate(data)
    except ValidationError as error:
        raise _refused(error) from None
    for name in body.__pydantic_extra__ or ():
        on_unknown(name)
    return body


def _refused(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_context=False)[0]
    path = _path(first["loc"])
    if first["type"] == "missing":
        return ApiError(INVALID, f"{path}: missing", param=path)
    found = first["input"]
    shown = repr(found) if isinstance(found, bool | int | float) or found is None else f"a JSON {_kind(found)}"
    if isinstance(found, str) and len(found) <= 40:
        shown = repr(found)
    return ApiError(INVALID, f"{path}: found {shown}, expected {_expected(first['msg'])}", param=path)


def _expected(message: str) -> str:
    """pydantic's sentence as the end of ours."""
    message = _PREFIX.sub("", message)
    return _SUFFIX.sub("", message)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step and step.replace("_", "").isalnum() and step.islower():
            path += f".{step}" if path else step
    return path or "body"


def _check_size(data: Any) -> None:
    """Depth and number of items, without recursion."""
    num_items = 0
    open_values = [(data, 1)]
    while open_values:
        value, depth = open_values.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            open_values.extend((item, depth + 1) for item in value.values() if isinstance(item, dict | list))
        else:
            num_items += len(value)
            if num_items > MAX_ITEMS:
                raise ApiError(INVALID, f"body: more than {MAX_ITEMS} list items, expected fewer")
            open_values.extend((item, depth + 1) for item in value if isinstance(item, dict | list))


def _too_deep() -> ApiError:
    return ApiError(INVALID, f"body: nested more than {MAX_DEPTH} levels deep")


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF_A_PAIR.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mend(item) for item in value]
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
