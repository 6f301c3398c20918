"""/tokenize, /detokenize, /tokenizer_info, /apply-template and the official token estimate."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from moonlet.engine.dialect import PreparedTurn
from moonlet.server.answer import prepare_any_length
from moonlet.server.body import check_content_type, parse_json, read_body, validate
from moonlet.server.chat.parse import parse_chat
from moonlet.server.chat.schema import ChatBody
from moonlet.server.context import Context
from moonlet.server.endpoint import Endpoint, json_answer, read
from moonlet.server.errors import INVALID, ApiError
from moonlet.server.tokens.schema import DetokenizeBody, TokenizeBody


async def tokenize(context: Context, request: Request) -> Response:
    """The ids of a text, in which special tokens spelt out stay text, or of a rendered chat."""
    check_content_type(request)
    options = context.options
    data = parse_json(await read_body(request, options.max_body_mib << 20, options.body_timeout_s))
    engine = context.engine
    if "prompt" in data or "messages" not in data:
        body = validate(data, TokenizeBody, lambda name: context.note_unknown("/tokenize", name))
        if body.prompt is None:
            raise ApiError(INVALID, "prompt: missing, expected a text, or messages", param="prompt")
        tokens = engine.tokenizer.encode(body.prompt)
        if body.add_special_tokens and tokens[:1] != [engine.tokenizer.bos_id]:
            tokens = [engine.tokenizer.bos_id, *tokens]
    else:
        chat = validate(data, ChatBody, lambda name: context.note_unknown("/tokenize", name))
        tokens = list((await _rendered(context, chat)).prompt_ids)
    return json_answer({"count": len(tokens), "max_model_len": engine.context_length, "tokens": tokens})


async def detokenize(context: Context, request: Request) -> Response:
    """The text of ids."""
    body = await read(context, request, DetokenizeBody)
    tokenizer = context.engine.tokenizer
    unknown = next((token for token in body.tokens if token >= tokenizer.vocab_size), None)
    if unknown is not None:
        expected = f"ids from 0 to {tokenizer.vocab_size - 1}"
        raise ApiError(INVALID, f"tokens: found {unknown}, expected {expected}", param="tokens")
    return json_answer({"prompt": tokenizer.decode(body.tokens)})


async def tokenizer_info(context: Context, request: Request) -> Response:  # noqa: ARG001
    """Names of special tokens, and the template."""
    tokenizer = context.engine.tokenizer
    body = {
        "tokenizer_class": "TikTokenTokenizer",
        "bos_token": tokenizer.bos_token,
        "eos_token": tokenizer.eos_token,
        "pad_token": tokenizer.pad_token,
        "chat_template": context.engine.facts.chat_template,
    }
    return json_answer(body)


async def apply_template(context: Context, request: Request) -> Response:
    """The prompt of a chat request, as text and as ids, without running it."""
    rendered = await _rendered(context, await read(context, request, ChatBody))
    return json_answer({"prompt": rendered.prompt.text, "tokens": list(rendered.prompt_ids)})


async def estimate(context: Context, request: Request) -> Response:
    """How many tokens a chat request feeds."""
    rendered = await _rendered(context, await read(context, request, ChatBody))
    return json_answer({"data": {"total_tokens": rendered.num_prompt_tokens}})


async def _rendered(context: Context, body: ChatBody) -> PreparedTurn:
    return await prepare_any_length(context, parse_chat(body, context.rules()).turn)


ENDPOINTS = (
    Endpoint("POST", "/tokenize", tokenize, "The ids of a text or a chat.", TokenizeBody),
    Endpoint("POST", "/detokenize", detokenize, "The text of ids.", DetokenizeBody),
    Endpoint("GET", "/tokenizer_info", tokenizer_info, "Special tokens and template."),
    Endpoint("POST", "/apply-template", apply_template, "The prompt of a chat request.", ChatBody),
    Endpoint(
        "POST", "/v1/tokenizers/estimate-token-count", estimate, "How many tokens a chat request feeds.", ChatBody
    ),
)
