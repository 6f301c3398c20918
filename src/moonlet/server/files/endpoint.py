"""POST and GET /v1/files, GET and DELETE /v1/files/{id}."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from moonlet.server.context import Context
from moonlet.server.endpoint import FORM, Endpoint, json_answer
from moonlet.server.errors import INVALID, NOT_FOUND, NOT_JSON, TIMED_OUT, TOO_LARGE, ApiError
from moonlet.server.files.store import MAX_FILE_BYTES, StoredFile

Purpose = Literal["image", "video"]
_PURPOSES = get_args(Purpose)


class UploadForm(BaseModel):
    """What an upload holds. Read by hand, as it comes, so that too much of it is refused in time."""

    file: Annotated[bytes, Field(min_length=1, json_schema_extra={"format": "binary"})]
    purpose: Purpose


async def upload(context: Context, request: Request) -> Response:
    """Keep an image or a video, to be named `ms://{id}` in messages."""
    file, purpose = await _read_form(request, context.options.body_timeout_s)
    if purpose not in _PURPOSES:
        raise ApiError(INVALID, "Invalid purpose: expected image or video", param="purpose")
    content = await file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise _too_large()
    if not content:
        raise ApiError(INVALID, "file: found an empty file, expected an image or a video", param="file")
    stored = context.files.add((file.filename or "file")[:255], purpose, content)
    return json_answer(_shown(stored))


async def listed(context: Context, request: Request) -> Response:  # noqa: ARG001
    """All files."""
    return json_answer({"object": "list", "data": [_shown(stored) for stored in context.files.all()]})


async def one(context: Context, request: Request) -> Response:
    """One file's facts."""
    return json_answer(_shown(_found(context, request)))


async def delete(context: Context, request: Request) -> Response:
    """Forget a file."""
    stored = _found(context, request)
    context.files.remove(stored.id)
    return json_answer({"id": stored.id, "object": "file", "deleted": True})


async def _read_form(request: Request, timeout_s: float) -> tuple[UploadFile, str]:
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise ApiError(NOT_JSON, "content-type: expected multipart/form-data with file and purpose")
    num_bytes = 0

    async def limited() -> Any:
        nonlocal num_bytes
        async for chunk in request.stream():
            num_bytes += len(chunk)
            # The fields around the file are small.
            if num_bytes > MAX_FILE_BYTES + (1 << 20):
                raise _too_large()
            yield chunk

    try:
        async with asyncio.timeout(timeout_s):
            form = await MultiPartParser(request.headers, limited(), max_files=1, max_fields=20).parse()
    except TimeoutError:
        raise ApiError(TIMED_OUT, f"the upload did not arrive within {timeout_s:g} seconds") from None
    except (MultiPartException, MultipartParseError, HTTPException, ClientDisconnect, KeyError, UnicodeDecodeError):
        raise ApiError(INVALID, "body: not a valid multipart/form-data body") from None
    file, purpose = form.get("file"), form.get("purpose")
    if not isinstance(file, UploadFile):
        raise ApiError(INVALID, "file: missing, expected an uploaded file", param="file")
    return file, purpose if isinstance(purpose, str) else ""


def _found(context: Context, request: Request) -> StoredFile:
    stored = context.files.get(request.path_params["file_id"])
    if stored is None:
        raise ApiError(NOT_FOUND, "this file does not exist")
    return stored


def _too_large() -> ApiError:
    return ApiError(TOO_LARGE, f"Request exceeds the maximum size of {MAX_FILE_BYTES} bytes for a file")


def _shown(stored: StoredFile) -> dict[str, Any]:
    return {
        "id": stored.id,
        "object": "file",
        "bytes": len(stored.content),
        "created_at": stored.created_at,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "status": "ready",
    }


ENDPOINTS = (
    Endpoint("POST", "/v1/files", upload, "Keep an image or a video for ms://{id}.", UploadForm, body_type=FORM),
    Endpoint("GET", "/v1/files", listed, "All files."),
    Endpoint("GET", "/v1/files/{file_id}", one, "One file's facts."),
    Endpoint("DELETE", "/v1/files/{file_id}", delete, "Forget a file."),
)
