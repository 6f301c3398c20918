"""A conversation as values, and the one place where OpenAI-style dictionaries become such values.

`parse_messages` checks everything once and names what is wrong by its path (`messages[2].content[0].type`); after it
nobody checks again. `Message.to_template` gives the shape the chat templates of checkpoints are written for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moonlet.errors import PromptError

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by its URL (usually `data:`); fetching and decoding it is not this package's business."""

    url: str


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A video by its URL."""

    url: str


Part = TextPart | ImagePart | VideoPart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call the model made. `id` is what the template prints, and the only thing that tells the model which tool
    it was; `arguments` is JSON text as sampled or as the client sent it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `name` replaces the role as the label in the prompt; `tool_call_id` belongs to role `tool`."""

    role: str
    content: str | tuple[Part, ...] = ""
    reasoning_content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts, whichever way it was given."""
        if isinstance(self.content, str):
            return (TextPart(self.content),) if self.content else ()
        return self.content

    @property
    def media(self) -> tuple[ImagePart | VideoPart, ...]:
        """Images and videos in the order in which the prompt shows them."""
        return tuple(part for part in self.parts if not isinstance(part, TextPart))

    def to_template(self) -> dict[str, Any]:
        """The dictionary a chat template reads. Absent fields are left out: templates ask with `get` or `is defined`.

        Media parts carry only their type: a template prints a placeholder, and has no use for megabytes of `data:`.
        """
        fields: dict[str, Any] = {"role": self.role}
        if isinstance(self.content, str):
            fields["content"] = self.content
        else:
            fields["content"] = [_part_to_template(part) for part in self.content]
        if self.name:
            fields["name"] = self.name
        if self.reasoning_content:
            fields["reasoning_content"] = self.reasoning_content
        if self.tool_call_id:
            fields["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            fields["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return fields


def parse_messages(data: Any) -> tuple[Message, ...]:
    """OpenAI-style messages as values. Raises PromptError naming the field, what was found and what is expected.

    Accepted beside the plain form: `content` null or absent, `reasoning` for `reasoning_content`, parts spelt as in the
    Responses API, tool-call arguments as an object instead of JSON text. Unknown keys are ignored.
    """
    items = _sequence(data, "messages")
    if not items:
        raise PromptError("messages: the list is empty, expected at least one message")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(items))


def _message(data: Any, path: str) -> Message:
    fields = _object(data, path)
    role = fields.get("role")
    if role not in ROLES:
        raise PromptError(f"{path}.role: found {_shown(role)}, expected one of {', '.join(ROLES)}")
    tool_call_id = _text(fields, "tool_call_id", path)
    if role == "tool" and not tool_call_id:
        raise PromptError(f"{path}.tool_call_id: missing; a tool message names the call it answers")
    calls = fields.get("tool_calls")
    if calls and role != "assistant":
        raise PromptError(f"{path}.tool_calls: only an assistant message may hold tool calls, this one is {role!r}")
    return Message(
        role=role,
        content=_content(fields.get("content"), f"{path}.content"),
        reasoning_content=_reasoning(fields, path),
        tool_calls=_tool_calls(calls, f"{path}.tool_calls"),
        tool_call_id=tool_call_id,
        name=_text(fields, "name", path),
    )


def _reasoning(fields: Mapping[str, Any], path: str) -> str:
    """What was thought, under whichever name the client was given it; as a list, `reasoning_details` means nothing."""
    details = fields.get("reasoning_details")
    return (
        _text(fields, "reasoning_content", path)
        or _text(fields, "reasoning", path)
        or (details if isinstance(details, str) else "")
    )


def _content(data: Any, path: str) -> str | tuple[Part, ...]:
    if data is None:
        return ""
    if isinstance(data, str):
        return data
    if not isinstance(data, list | tuple):
        raise PromptError(f"{path}: found {_shown(data)}, expected text or a list of parts")
    return tuple(_part(item, f"{path}[{index}]") for index, item in enumerate(data))


def _part(data: Any, path: str) -> Part:
    fields = _object(data, path)
    match fields.get("type"):
        case "text" | "input_text" | "output_text":
            return TextPart(_required_text(fields, "text", path))
        case "refusal":
            return TextPart(_required_text(fields, "refusal", path))
        case "image_url" | "input_image":
            return ImagePart(_url(fields.get("image_url"), f"{path}.image_url"))
        case "image" if "source" in fields:
            return ImagePart(source_url(fields["source"], f"{path}.source"))
        case "image":
            return ImagePart(_url(fields.get("image"), f"{path}.image"))
        case "video_url":
            return VideoPart(_url(fields.get("video_url"), f"{path}.video_url"))
        case "video":
            return VideoPart(_url(fields.get("video"), f"{path}.video"))
        case other:
            raise PromptError(
                f"{path}.type: found {_shown(other)}, expected text, image_url or video_url; "
                "the model reads no other kind of input"
            )


def _url(data: Any, path: str) -> str:
    url = data.get("url") if isinstance(data, Mapping) else data
    if not isinstance(url, str) or not url:
        raise PromptError(f"{path}: found {_shown(data)}, expected a URL or an object with a 'url'")
    return url


def source_url(data: Any, path: str) -> str:
    """The URL of an image in the form of the Messages API. Raises PromptError."""
    match data:
        case {"type": "base64", "data": str() as content}:
            return f"data:{data.get('media_type')};base64,{content}"
        case {"type": "url", "url": str() as url} if url:
            return url
    raise PromptError(f"{path}: expected base64 data with a media_type, or a url")


def _tool_calls(data: Any, path: str) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for index, item in enumerate(_sequence(data, path) if data is not None else ()):
        at = f"{path}[{index}]"
        fields = _object(item, at)
        function = _object(fields.get("function"), f"{at}.function")
        name = _required_text(function, "name", f"{at}.function")
        call_id = _required_text(fields, "id", at)
        calls.append(ToolCall(call_id, name, _arguments(function.get("arguments"), f"{at}.function.arguments")))
    return tuple(calls)


def _arguments(data: Any, path: str) -> str:
    if data is None:
        return ""
    if isinstance(data, str):
        return data
    if isinstance(data, Mapping):
        try:
            return json.dumps(data, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            raise PromptError(f"{path}: the object is not JSON, or is nested too deeply") from None
    raise PromptError(f"{path}: found {_shown(data)}, expected JSON text or an object")


def _part_to_template(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart():
            return {"type": "image"}
        case VideoPart():
            return {"type": "video"}


def _object(data: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise PromptError(f"{path}: found {_shown(data)}, expected an object")
    return data


def _sequence(data: Any, path: str) -> Sequence[Any]:
    if not isinstance(data, list | tuple):
        raise PromptError(f"{path}: found {_shown(data)}, expected a list")
    return data


def _text(fields: Mapping[str, Any], key: str, path: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PromptError(f"{path}.{key}: found {_shown(value)}, expected text")
    return value


def _required_text(fields: Mapping[str, Any], key: str, path: str) -> str:
    if not isinstance(fields.get(key), str):
        raise PromptError(f"{path}.{key}: found {_shown(fields.get(key))}, expected text")
    return str(fields[key])


def _shown(value: Any) -> str:
    """A short picture of a wrong value; never a whole document or image."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "...")
    if isinstance(value, bool | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
