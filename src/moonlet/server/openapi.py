"""The OpenAPI document, made from the same table and the same models that answer requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from moonlet import __version__
from moonlet.server.endpoint import JSON, Endpoint
from moonlet.server.error_response import is_anthropic


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_TEXT = {"type": "string"}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERRORS: dict[str, Any] = {
    "Error": _object(
        error=_object(message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}, code={"type": ["string", "null"]})
    ),
    "AnthropicError": _object(type={"const": "error"}, error=_object(type=_TEXT, message=_TEXT), request_id=_TEXT),
}
_REFERENCE = "#/components/schemas/{model}"


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1 of `endpoints`."""
    bodies: list[type[BaseModel]] = sorted(
        {endpoint.body for endpoint in endpoints if endpoint.body is not None}, key=lambda body: body.__name__
    )
    _, schemas = models_json_schema([(body, "validation") for body in bodies], ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        path = _PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "moonlet", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), **_ERRORS},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    kind = "AnthropicError" if is_anthropic(endpoint.path) else "Error"
    refused = {JSON: {"schema": {"$ref": _REFERENCE.format(model=kind)}}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": f"{endpoint.method.lower()}{re.sub('[^a-z0-9]+', '_', endpoint.path.lower())}",
        "responses": {
            "4XX": {"description": "The request is at fault; the body says how.", "content": refused},
            "503": {"description": "The model is loading, or the server is stopping.", "content": {JSON: {}}},
        },
    }
    if endpoint.gives:
        operation["responses"]["200"] = {"description": "Done.", "content": {kind: {} for kind in endpoint.gives}}
    names = _PARAMETER.findall(endpoint.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if endpoint.body is not None:
        schema = {"$ref": _REFERENCE.format(model=endpoint.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {endpoint.body_type: {"schema": schema}}}
    return operation
