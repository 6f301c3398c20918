"""What a measurement is a share of. Pure arithmetic on a measured `Ceiling`."""

from __future__ import annotations

from moonlet.kernels.ceiling import Ceiling


def decode_tokens_per_s(ceiling: Ceiling, token_bytes: int) -> float:
    """Tokens per second if a decode step did nothing but read its `token_bytes` once."""
    return ceiling.read_bytes_per_s / token_bytes


def decode_share(ceiling: Ceiling, token_bytes: int, tokens_per_s: float) -> float:
    """Share of the memory's read bandwidth that decoding at `tokens_per_s` uses."""
    return tokens_per_s / decode_tokens_per_s(ceiling, token_bytes)


def prefill_share(ceiling: Ceiling, num_operations: int, seconds: float) -> float:
    """Share of the int8 peak that `num_operations` in `seconds` are."""
    return num_operations / seconds / ceiling.int8_ops_per_s
