"""GET /, /health, /v1/models, /metrics, /props, /slots and the balance that official clients ask for."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from moonlet import __version__
from moonlet.server.context import Context
from moonlet.server.endpoint import TEXT, Endpoint, json_answer
from moonlet.server.errors import MODEL_NOT_FOUND, ApiError
from moonlet.server.metrics import CONTENT_TYPE


async def root(context: Context, request: Request) -> Response:  # noqa: ARG001
    """A sign that somebody is here."""
    return Response("ok\n", media_type="text/plain")


async def health(context: Context, request: Request) -> Response:  # noqa: ARG001
    """200 once requests can be served."""
    if context.loaded_engine is None:
        return json_answer({"status": "loading model"}, 503)
    if context.is_stopping:
        return json_answer({"status": "stopping"}, 503)
    return json_answer({"status": "ok"})


async def models(context: Context, request: Request) -> Response:  # noqa: ARG001
    """The one model, in the forms of both OpenAI and Anthropic."""
    model = _model(context)
    listed = {"object": "list", "data": [model], "has_more": False, "first_id": model["id"], "last_id": model["id"]}
    return json_answer(listed)


async def one_model(context: Context, request: Request) -> Response:
    """The model by its name."""
    name = request.path_params["name"]
    model = _model(context)
    if name != model["id"]:
        raise ApiError(MODEL_NOT_FOUND, f"model: {name[:100]!r} is not served here, only {model['id']!r} is")
    return json_answer(model)


async def metrics(context: Context, request: Request) -> Response:  # noqa: ARG001
    """Numbers for Prometheus."""
    return Response(context.metrics.text(), headers={"content-type": CONTENT_TYPE})


async def props(context: Context, request: Request) -> Response:  # noqa: ARG001
    """What runs here, under llama-server's names."""
    engine = context.engine
    sampling = engine.default_sampling(True)
    body = {
        "build_info": f"moonlet {__version__}",
        "model_alias": engine.facts.name,
        "chat_template": engine.facts.chat_template,
        "modalities": {"vision": engine.facts.supports_images, "video": engine.facts.supports_video, "audio": False},
        "default_generation_settings": {
            "n_ctx": engine.context_length,
            "params": {"temperature": sampling.temperature, "top_p": sampling.top_p},
        },
        "limits": {
            "max_body_bytes": context.options.max_body_mib << 20,
            "max_prompt_tokens": context.options.max_prompt_tokens,
            "max_output_tokens": context.options.max_output_tokens,
            "request_timeout_s": context.options.request_timeout_s,
        },
        "param_policy": context.options.param_policy,
    }
    return json_answer(body)


async def slots(context: Context, request: Request) -> Response:  # noqa: ARG001
    """The live requests, counted: what they say stays theirs."""
    engine = context.engine
    stats = engine.stats()
    running = [{"id": i, "state": "running", "n_ctx": engine.context_length} for i in range(stats.num_running)]
    waiting = [
        {"id": stats.num_running + i, "state": "waiting", "n_ctx": engine.context_length}
        for i in range(stats.num_waiting)
    ]
    return json_answer(running + waiting)


async def balance(context: Context, request: Request) -> Response:  # noqa: ARG001
    """Nothing is billed here."""
    amounts = {"available_balance": 0, "voucher_balance": 0, "cash_balance": 0}
    return json_answer({"code": 0, "data": amounts, "scode": "0x0", "status": True})


def _model(context: Context) -> dict[str, Any]:
    engine = context.engine
    facts = engine.facts
    return {
        "id": facts.name,
        "object": "model",
        "type": "model",
        "created": facts.created,
        "owned_by": "moonshot",
        "display_name": facts.name,
        "context_length": engine.context_length,
        "max_model_len": engine.context_length,
        "supports_image_in": facts.supports_images,
        "supports_video_in": facts.supports_video,
        "supports_reasoning": True,
    }


ENDPOINTS = (
    Endpoint("GET", "/", root, "A sign that somebody is here.", gives=(TEXT,)),
    Endpoint("GET", "/health", health, "Whether requests can be served."),
    Endpoint("GET", "/v1/models", models, "The model."),
    Endpoint("GET", "/v1/models/{name:path}", one_model, "The model by its name."),
    Endpoint("GET", "/metrics", metrics, "Numbers for Prometheus.", gives=(TEXT,)),
    Endpoint("GET", "/props", props, "Build, limits, template and modalities."),
    Endpoint("GET", "/slots", slots, "Live requests."),
    Endpoint("GET", "/v1/users/me/balance", balance, "Nothing is billed here."),
)
