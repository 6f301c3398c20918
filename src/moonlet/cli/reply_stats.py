"""Tokens and speed as a line for people."""

from __future__ import annotations

from collections.abc import Sequence

from moonlet.engine import Reply


def reply_line(reply: Reply) -> str:
    """The cost of one reply."""
    usage, timings = reply.usage, reply.timings
    answer = usage.completion_tokens - usage.reasoning_tokens
    parts = [
        f"prompt {usage.prompt_tokens:,} tokens ({usage.cached_tokens:,} from the cache)",
        f"thinking {usage.reasoning_tokens:,}",
        f"answer {answer:,}",
    ]
    if timings.ttft_s is not None:
        parts.append(f"first token after {timings.ttft_s:.2f} s")
    if timings.prefill_tokens_per_s is not None:
        parts.append(f"reading {timings.prefill_tokens_per_s:,.1f} tokens/s")
    if timings.decode_tokens_per_s is not None:
        parts.append(f"writing {timings.decode_tokens_per_s:,.1f} tokens/s")
    parts.append(f"seed {reply.seed}")
    return ", ".join(parts)


def conversation_line(replies: Sequence[Reply], context_length: int) -> str:
    """The cost of all replies and how much of the context the last one left in use."""
    generated = sum(reply.usage.completion_tokens for reply in replies)
    in_context = replies[-1].usage.total_tokens
    seconds = sum(reply.timings.total_s for reply in replies)
    return (
        f"{len(replies)} {'reply' if len(replies) == 1 else 'replies'}, {generated:,} tokens in {seconds:.1f} s, "
        f"context {in_context:,} of {context_length:,} tokens"
    )
