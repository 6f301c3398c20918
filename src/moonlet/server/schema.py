"""What every request body has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """The top of a request. Known fields have exactly their type; unknown ones are kept apart, to be logged."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Part(BaseModel):
    """An object inside a request, whose unknown keys mean nothing."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


Messages = Annotated[list[Any], Field(description="Chat messages with roles system, developer, user, assistant, tool.")]
Tools = Annotated[list[Any] | None, Field(description="Functions the model may call, with JSON Schema parameters.")]
Object = Annotated[dict[str, Any], Field(description="A JSON object.")]
ToolChoiceField = Annotated[
    str | Object | None, Field(description="auto, none, required, or an object that names a function.")
]
Stop = Annotated[str | list[str] | None, Field(description="Up to 16 strings that end the answer.")]
