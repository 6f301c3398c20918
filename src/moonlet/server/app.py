"""The ASGI application: every endpoint of every API behind one gate."""

from __future__ import annotations

from itertools import groupby

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moonlet.errors import UserError
from moonlet.server.answer import explained
from moonlet.server.chat.endpoint import ENDPOINTS as CHAT
from moonlet.server.completions.endpoint import ENDPOINTS as COMPLETIONS
from moonlet.server.conduct import ClientGoneError
from moonlet.server.context import Context
from moonlet.server.endpoint import Endpoint, json_answer
from moonlet.server.error_response import error_response
from moonlet.server.errors import NOT_FOUND, WRONG_METHOD, ApiError
from moonlet.server.files.endpoint import ENDPOINTS as FILES
from moonlet.server.gate import Gate
from moonlet.server.messages.endpoint import ENDPOINTS as MESSAGES
from moonlet.server.openapi import openapi_document
from moonlet.server.operator.endpoint import ENDPOINTS as OPERATOR
from moonlet.server.responses.endpoint import ENDPOINTS as RESPONSES
from moonlet.server.tokens.endpoint import ENDPOINTS as TOKENS

ENDPOINTS = (*CHAT, *COMPLETIONS, *MESSAGES, *RESPONSES, *FILES, *TOKENS, *OPERATOR)


def build_app(context: Context) -> Gate:
    """The application. Raises OptionError for options that turn out to be impossible only now."""
    document = openapi_document(ENDPOINTS)

    async def openapi(_context: Context, _request: Request) -> Response:
        return json_answer(document)

    endpoints = (*ENDPOINTS, Endpoint("GET", "/openapi.json", openapi, "The description of every path."))
    by_path = groupby(sorted(endpoints, key=lambda item: item.path), key=lambda item: item.path)
    routes = [_route(path, {item.method: item for item in same_path}, context) for path, same_path in by_path]
    # Fixed paths before those with a parameter.
    routes.sort(key=lambda route: "{" in route.path)
    app = Starlette(routes=routes, exception_handlers={HTTPException: _unknown_path})
    app.router.redirect_slashes = False
    return Gate(app, context)


def _route(path: str, by_method: dict[str, Endpoint], context: Context) -> Route:
    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = by_method.get(method)
        try:
            if endpoint is None:
                allowed = ", ".join(sorted(by_method))
                raise ApiError(WRONG_METHOD, f"{request.method} is not a method of {path}, expected {allowed}")
            return await endpoint.handler(context, request)
        except (ApiError, UserError) as error:
            response = error_response(request.scope, ApiError.of(error))
        except ClientGoneError:
            # Nobody reads it; the log shows that the client left.
            return Response(status_code=499)
        except Exception as error:
            response = error_response(request.scope, explained(error))
        if endpoint is None:
            response.headers["allow"] = ", ".join(sorted(by_method))
        return response

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
    return Route(path, handle, methods=methods)


async def _unknown_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        wrong = ApiError(WRONG_METHOD, f"{request.method[:20]} is not a method of this path")
        response = error_response(request.scope, wrong)
        # The route knows every method there is, so this is one that nobody could mean.
        response.headers["allow"] = "GET, POST, DELETE, OPTIONS"
        return response
    return error_response(request.scope, ApiError(NOT_FOUND, "this path does not exist"))
