"""The body of POST /v1/completions."""

from __future__ import annotations

from pydantic import Field

from moonlet.server.chat.schema import StreamOptions
from moonlet.server.schema import Body, Stop


class CompletionBody(Body):
    """A raw prompt, or several."""

    model: str | None = None
    prompt: str | list[int] | list[str] | list[list[int]] = Field(description="Text or token ids, one or several.")
    max_tokens: int | None = Field(None, ge=-1, description="Most tokens of the text; 16 if not given.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.001, le=1000)
    n: int | None = Field(None, ge=1, le=1)
    best_of: int | None = Field(None, ge=1, le=1)
    seed: int | None = None
    stop: Stop = None
    echo: bool | None = Field(None, description="Begin with the prompt itself.")
    logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = Field(None, description="Go on past the model's own end.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
