"""Errors as the APIs show them: one table of kinds, two shapes of body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from moonlet.errors import ContextLengthError, EngineClosedError, QueueFullError, UserError


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table: status, and what each API calls it."""

    status: int
    openai: str
    code: str | None
    anthropic: str


INVALID = Kind(400, "invalid_request_error", None, "invalid_request_error")
CONTEXT_LENGTH = Kind(400, "invalid_request_error", "context_length_exceeded", "invalid_request_error")
NO_PREVIOUS_RESPONSE = Kind(400, "invalid_request_error", "previous_response_not_found", "invalid_request_error")
UNAUTHORISED = Kind(401, "invalid_authentication_error", "invalid_api_key", "authentication_error")
FORBIDDEN_HOST = Kind(403, "invalid_request_error", "host_not_allowed", "permission_error")
NOT_FOUND = Kind(404, "resource_not_found_error", "not_found", "not_found_error")
MODEL_NOT_FOUND = Kind(404, "resource_not_found_error", "model_not_found", "not_found_error")
WRONG_METHOD = Kind(405, "invalid_request_error", None, "invalid_request_error")
TIMED_OUT = Kind(408, "invalid_request_error", "request_timeout", "invalid_request_error")
TOO_LARGE = Kind(413, "invalid_request_error", "request_too_large", "request_too_large")
NOT_JSON = Kind(415, "invalid_request_error", None, "invalid_request_error")
QUEUE_FULL = Kind(429, "engine_overloaded_error", "queue_full", "rate_limit_error")
INTERNAL = Kind(500, "server_error", None, "api_error")
LOADING = Kind(503, "server_error", "loading", "overloaded_error")

RETRY_AFTER_S = 2
"""What a client is told to wait while the model is loading; whole seconds."""

MAX_MESSAGE_CHARS = 1000

# By convention every message of a UserError begins with the path of the field it is about.
_PATH = re.compile(r"([a-z_][a-zA-Z0-9_$]*(?:\[\d+\]|\.[a-zA-Z0-9_$]+)*): ")


class ApiError(Exception):
    """Ends a request with this answer. `param` names the field of the request that is at fault."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        anthropic_message: str | None = None,
        retry_after_s: int = RETRY_AFTER_S,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.anthropic_message = anthropic_message or message
        self._retry_after_s = retry_after_s

    @classmethod
    def of(cls, error: Exception) -> ApiError:
        """What to answer for `error`; nothing of a mistake of ours is shown."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, UserError):
            message = " ".join(str(error).split())
            # A message may quote what was found; whoever sent a megabyte need not get it back.
            if len(message) > MAX_MESSAGE_CHARS:
                message = message[:MAX_MESSAGE_CHARS] + "..."
            path = _PATH.match(message)
            kind = CONTEXT_LENGTH if isinstance(error, ContextLengthError) else INVALID
            return cls(kind, message, param=path.group(1) if path else None)
        if isinstance(error, QueueFullError):
            return cls(QUEUE_FULL, str(error), retry_after_s=error.retry_after_s)
        if isinstance(error, EngineClosedError):
            return cls(LOADING, "the server is stopping")
        return cls(INTERNAL, "internal error; the server's log has the details under this request id")

    @classmethod
    def overflow(cls, num_tokens: int, context_length: int, param: str) -> ApiError:
        """The prompt in `param` leaves no room for a reply. Clients match these words and shorten their history: keep
        them."""
        return cls(
            CONTEXT_LENGTH,
            f"Invalid request: Your request exceeded model token limit: {context_length} (requested: {num_tokens}). "
            f"This model's maximum context length is {context_length} tokens. "
            "Please reduce the length of the messages.",
            param=param,
            anthropic_message=f"prompt is too long: {num_tokens} tokens > {context_length} maximum",
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self._retry_after_s)} if self.kind in (QUEUE_FULL, LOADING) else {}

    def openai_body(self) -> dict[str, Any]:
        """As the OpenAI-style APIs answer."""
        error = {"message": self.message, "type": self.kind.openai, "param": self.param, "code": self.kind.code}
        return {"error": error}

    def anthropic_body(self, request_id: str) -> dict[str, Any]:
        """As the Messages API answers."""
        error = {"type": self.kind.anthropic, "message": self.anthropic_message}
        return {"type": "error", "error": error, "request_id": request_id}
