"""`moonlet serve`: the APIs that clients of Kimi K2.5 expect."""

from __future__ import annotations

import logging

import click

from moonlet.cli.options import engine_options, options_of
from moonlet.cli.startup import without_collection
from moonlet.config import EngineOptions
from moonlet.log import configure_logging
from moonlet.server.options import ServeOptions

_EXAMPLES = (
    "Examples: moonlet serve   moonlet serve -m ./kimi-k2.5 --port 9000   moonlet serve --host 0.0.0.0 --api-key SECRET"
)


@click.command("serve", epilog=_EXAMPLES)
@click.option("--model", "-m", help="A checkpoint's directory or the hub id of a pulled one; K25-nano if not given.")
@options_of(ServeOptions, "serving")
@engine_options
def command(model: str | None, serving: ServeOptions, options: EngineOptions) -> None:
    """Serve a model over HTTP.

    OpenAI clients: base URL http://127.0.0.1:8000/v1, any key. Anthropic clients: base URL http://127.0.0.1:8000.

    \b
    chat          POST /v1/chat/completions, /v1/responses, /v1/messages
    raw prompts   POST /v1/completions
    tokens        POST /tokenize, /detokenize, /apply-template
    media         POST /v1/files, then ms://ID in messages
    operators     GET /health, /metrics, /props, /slots, /openapi.json

    Try it: curl http://127.0.0.1:8000/v1/chat/completions --json '{"messages": [{"role": "user", "content": "hi"}]}'
    """
    if logging.getLogger("moonlet").getEffectiveLevel() > logging.INFO:
        configure_logging("info")  # one line for each request
    with without_collection():
        from moonlet.cli.serve_model import load_for_serving
        from moonlet.server.serve import serve

    def announce(line: str) -> None:
        click.echo(line, err=True)

    serve(serving, lambda: load_for_serving(model, options, serving), announce)
