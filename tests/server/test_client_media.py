"""Images and video through the clients people use: the same tokens and the same reply as from `LLM.chat`.

The model is scripted and its tower made up: each token depends on every pixel, so a picture lost, swapped or
misplaced on the way gives another reply.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from moonlet.engine import SamplingParams
from moonlet.engine.result import Reply
from tests.fakes.engines import seeing_engine
from tests.fakes.http_server import context_of, running
from tests.media.files import encoded, noise, video
from tests.server.chat_clients import CLIENTS, STREAMED, Create, hear, openai_create
from tests.server.replies import FIND, Q

openai = pytest.importorskip("openai", reason="the openai client is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic client is not installed")

CONTEXT_LENGTH = 4096
MAX_TOKENS = 8
PNG = encoded(noise(300, 200))
JPEG = encoded(noise(120, 90, seed=1), "JPEG")
LIMITS = {"temperature": 0, "max_tokens": MAX_TOKENS}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(context_of(seeing_engine(CONTEXT_LENGTH))) as base:
        yield base


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same second of video in several containers, as data: URLs."""
    folder = tmp_path_factory.mktemp("films")
    kinds = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx"}
    return {
        kind: data_url(video(folder / f"a.{kind}", codec=codec).read_bytes(), f"video/{kind}")
        for kind, codec in kinds.items()
    }


def data_url(content: bytes, mime: str = "image/png", gap: str = "") -> str:
    return f"data:{mime};base64,{gap}{base64.b64encode(content).decode()}"


def part(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


def user(*parts: dict[str, Any], text: str = "what is it?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


def expected(messages: list[dict[str, Any]], *, thinking: bool = True, **options: Any) -> Reply:
    """What an engine of its own answers, asked in this process."""
    sampling = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)
    return seeing_engine(CONTEXT_LENGTH).chat(messages, thinking=thinking, sampling=sampling, **options)


CASES = {
    "png": [("image_url", data_url(PNG))],
    "jpeg": [("image_url", data_url(JPEG, "image/jpeg"))],
    "the blank of the model card": [("image_url", data_url(PNG, gap=" "))],
    "a wrong subtype": [("image_url", data_url(JPEG, "image/.png"))],
    "two images": [("image_url", data_url(PNG)), ("image_url", data_url(JPEG))],
    "mp4": [("video_url", "mp4")],
    "mkv": [("video_url", "mkv")],
    "image and webm": [("image_url", data_url(PNG)), ("video_url", "webm")],
}


def is_reply(create: Create, messages: list[dict[str, Any]], stream: bool, reply: Reply) -> bool:
    """Whether the client hears `reply`, with its count of prompt tokens."""
    heard = hear(create, messages, stream=stream, **LIMITS)
    assert reply.reasoning, "a reply without a word would prove nothing"
    found = (heard.reasoning, heard.content, heard.usage.prompt_tokens)
    return found == (reply.reasoning, reply.content, reply.usage.prompt_tokens)


@STREAMED
@CLIENTS
@pytest.mark.parametrize("case", CASES)
def test_media_in_a_chat_are_read_as_in_this_process(url, films, client, case, stream):
    messages = user(*(part(kind, films.get(content, content)) for kind, content in CASES[case]))
    reply = expected([{**messages[0], "content": [unblanked(one) for one in messages[0]["content"]]}])
    assert is_reply(client(url), messages, stream, reply)
    assert reply.usage.prompt_tokens > expected(user()).usage.prompt_tokens


def unblanked(part: dict[str, Any]) -> dict[str, Any]:
    """Only the server forgives blanks in base64."""
    return json.loads(json.dumps(part).replace("base64, ", "base64,"))


@STREAMED
def test_an_upload_is_read_as_the_same_bytes_in_a_data_url(url, films, stream):
    client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
    uploads = {
        "image_url": client.files.create(file=("a.png", PNG), purpose="image"),
        "video_url": client.files.create(
            file=("a.mp4", base64.b64decode(films["mp4"].partition(",")[2])), purpose="video"
        ),
    }
    by_name = user(*(part(kind, f"ms://{stored.id}") for kind, stored in uploads.items()))
    reply = expected(user(part("image_url", data_url(PNG)), part("video_url", films["mp4"])))
    assert is_reply(openai_create(url), by_name, stream, reply)
    client.files.delete(uploads["image_url"].id)
    with pytest.raises(openai.BadRequestError, match="is not found"):
        hear(openai_create(url), by_name, stream=stream)


def responses_text(url: str, items: list[dict[str, Any]], stream: bool, **ask: Any) -> tuple[str, str, int]:
    client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
    ask = {"model": "k", "input": items, "temperature": 0, "max_output_tokens": MAX_TOKENS, **ask}
    if stream:
        with client.responses.stream(**ask) as events:
            # At its token limit the reply is incomplete, which this client's helper does not count as an end.
            reply = [event.response for event in events if event.type in ("response.completed", "response.incomplete")]
            reply = reply[-1]
    else:
        reply = client.responses.create(**ask)
    reasoning = "".join(part.text for item in reply.output if item.type == "reasoning" for part in item.content)
    return reasoning, reply.output_text, reply.usage.input_tokens


@STREAMED
def test_responses_read_an_input_image_and_one_in_the_output_of_a_tool(url, stream):
    image = {"type": "input_image", "image_url": data_url(PNG), "detail": "auto"}
    ask = {"role": "user", "content": [{"type": "input_text", "text": "what is it?"}, image]}
    reply = expected(user(part("image_url", data_url(PNG))))
    assert responses_text(url, [ask], stream) == (reply.reasoning, reply.content, reply.usage.prompt_tokens)
    tool = {"type": "function", "name": "find", "parameters": FIND["function"]["parameters"]}
    items = [
        ask,
        {"type": "function_call", "call_id": "call_1", "name": "find", "arguments": Q},
        {"type": "function_call_output", "call_id": "call_1", "output": [image]},
    ]
    reply = expected(with_result([part("image_url", data_url(PNG))]), tools=[FIND])
    found = responses_text(url, items, stream, tools=[tool])
    assert found == (reply.reasoning, reply.content, reply.usage.prompt_tokens)


def with_result(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    call = {"id": "functions.find:0", "type": "function", "function": {"name": "find", "arguments": Q}}
    return [
        *user(part("image_url", data_url(PNG))),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": result},
    ]


def block(content: bytes, mime: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": mime, "data": base64.b64encode(content).decode()}
    return {"type": "image", "source": source}


@STREAMED
@pytest.mark.parametrize("thinking", [False, True])
def test_anthropic_images_beside_text_and_inside_the_result_of_a_tool(url, thinking, stream):
    client = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
    asked = {"role": "user", "content": [{"type": "text", "text": "what is it?"}, block(PNG, "image/png")]}
    result = [{"type": "text", "text": "see"}, block(JPEG, "image/jpeg")]
    history = [
        asked,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "x"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result}]},
    ]
    tools = [{"name": "find", "input_schema": FIND["function"]["parameters"]}]
    mode = {"type": "adaptive" if thinking else "disabled"}
    ask = {"model": "k", "max_tokens": MAX_TOKENS, "thinking": mode, "tools": tools, "extra_body": {"temperature": 0}}
    same = with_result([{"type": "text", "text": "see"}, part("image_url", data_url(JPEG, "image/jpeg"))])
    for messages, reference in ((history[:1], same[:1]), (history, same)):
        reply = expected(reference, thinking=thinking, tools=[FIND])
        if stream:
            with client.messages.stream(messages=messages, **ask) as events:
                found = events.get_final_message()
        else:
            found = client.messages.create(messages=messages, **ask)
        texts = {one.type: one.text if one.type == "text" else one.thinking for one in found.content}
        assert (texts.get("thinking", ""), texts.get("text", "")) == (reply.reasoning, reply.content)
        assert found.usage.input_tokens + found.usage.cache_read_input_tokens == reply.usage.prompt_tokens
        counted = client.messages.count_tokens(model="k", messages=messages, thinking=mode, tools=tools)
        assert counted.input_tokens == reply.usage.prompt_tokens


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


# (kind, URL, what is said): the words by which clients know that an image is at fault, and leave it out.
REFUSED = [
    ("image_url", data_url(truncated(PNG)), "failed to decode image"),
    ("image_url", data_url(truncated(JPEG)), "failed to decode image"),
    ("image_url", data_url(b"hello world"), "unsupported image format"),
    ("image_url", data_url(encoded(noise(20, 20), "TIFF"), "image/tiff"), "unsupported image format"),
    ("image_url", data_url(b"\0\0\0\x18ftypheic" + bytes(50), "image/heic"), "unsupported image format"),
    ("image_url", "data:image/png;base64,@@@", "failed to decode image"),
    ("image_url", "data:image/png;base64,", "is empty"),
    ("image_url", data_url(encoded(Image.new("1", (8001, 8000)))), "expected at most 64,000,000"),
    ("image_url", "https://example.org/a.png", "unsupported image url"),
    ("video_url", data_url(b"hello world", "video/mp4"), "not a video that can be read"),
    ("video_url", data_url(b"\0\0\0\x18ftypisom" + bytes(50), "video/mp4"), "not a video that can be read"),
    ("video_url", "ms://file-unknown", "is not found"),
]


@STREAMED
@pytest.mark.parametrize(("kind", "bad", "said"), REFUSED)
def test_bad_media_are_refused_by_name_and_the_conversation_goes_on(url, kind, bad, said, stream):
    good = user(part("image_url", data_url(PNG)))
    with pytest.raises(openai.BadRequestError) as caught:
        hear(openai_create(url), user(part("image_url", data_url(PNG)), part(kind, bad)), stream=stream)
    assert said in caught.value.body["message"]
    assert len(caught.value.body["message"]) < 300
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", kind)
    # The turn that failed has left nothing behind: without its image, as clients ask then, comes a new engine's reply.
    goes_on = [*good, {"role": "assistant", "content": "Noise."}, *user(text="and?")]
    reply = expected(goes_on)
    assert is_reply(openai_create(url), goes_on, stream, reply)


def test_bad_media_have_the_shape_of_each_api(url):
    client = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
    bad = block(truncated(PNG), "image/png")
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [bad]}
    call = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}
    for messages in (
        [{"role": "user", "content": [bad]}],
        [*user(), {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}],
    ):
        with pytest.raises(anthropic.BadRequestError) as refused:
            client.messages.create(model="k", max_tokens=5, messages=messages)
        assert refused.value.body["type"] == "error"
        assert refused.value.body["error"]["type"] == "invalid_request_error"
        assert "failed to decode image" in refused.value.body["error"]["message"]
    image = {"type": "input_image", "image_url": data_url(truncated(PNG))}
    with pytest.raises(openai.BadRequestError, match="failed to decode image"):
        responses_text(url, [{"role": "user", "content": [image]}], stream=False)


def test_pictures_that_do_not_fit_are_the_overflow_that_clients_know(url):
    many = [part("image_url", data_url(encoded(noise(900, 900, seed)))) for seed in range(4)]
    with pytest.raises(openai.BadRequestError, match=r"exceeded model token limit: 4096 \(requested: \d+\)") as caught:
        hear(openai_create(url), user(*many), stream=False)
    assert caught.value.code == "context_length_exceeded"


def test_the_server_tells_that_the_model_sees(url):
    model = openai.OpenAI(base_url=url + "/v1", api_key="x").models.list().data[0]
    assert (model.supports_image_in, model.supports_video_in) == (True, True)
