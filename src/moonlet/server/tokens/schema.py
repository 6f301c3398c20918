"""Bodies of the endpoints about tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from moonlet.server.schema import Body


class TokenizeBody(Body):
    """A text, or the fields of a chat request."""

    model: str | None = None
    prompt: str | None = Field(None, description="A text; without it the body is that of a chat request.")
    add_special_tokens: bool | None = Field(None, description="Whether to begin with the token that begins a text.")


class DetokenizeBody(Body):
    """Token ids."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0)]] = Field(max_length=2_000_000)
