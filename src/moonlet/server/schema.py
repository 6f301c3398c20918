"""What every request body has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from moonlet.chat.messages import ROLES


class Body(BaseModel):
    """The top of a request. Known fields have exactly their type; unknown ones are kept apart, to be logged."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Part(BaseModel):
    """An object inside a request, whose unknown keys mean nothing."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


def messages_of(*roles: str) -> Any:
    """For the document: what `messages` hold. They are read by hand, to name what is wrong by its path."""
    message: Any = {"type": "object", "properties": {"role": {"enum": list(roles)}}, "required": ["role"]}
    return Field(min_length=1, json_schema_extra={"items": message})


Messages = Annotated[list[Any], messages_of(*ROLES)]
Tools = Annotated[list[Any] | None, Field(description="Functions the model may call, with JSON Schema parameters.")]
Object = Annotated[dict[str, Any], Field(description="A JSON object.")]
ToolChoiceField = Annotated[
    str | Object | None, Field(description="auto, none, required, or an object that names a function.")
]
Stop = Annotated[str | list[str] | None, Field(description="Up to 16 strings that end the answer.")]
