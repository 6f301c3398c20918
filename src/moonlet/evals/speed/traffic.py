"""Bytes that a decode step of a given checkpoint must read."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint
from moonlet.model.cost import decode_traffic, kv_bytes_per_token

_ROUTED = "_exps.weight"
_EMBEDDING = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one decode step: of the chosen experts, of all other weights, and of the cache for each token in it."""

    routed_experts: int
    other_weights: int
    cache_per_token: int

    def at(self, context: int) -> int:
        """All of it with `context` tokens in the cache."""
        return self.routed_experts + self.other_weights + context * self.cache_per_token


def token_traffic(checkpoint: Checkpoint | GgufCheckpoint, dense: str = "bf16") -> Traffic:
    """Every active weight once. In a GGUF file each tensor has its own type, so its own bytes are counted.

    dense: "bf16" or "int8", the form in which the non-expert weights of a published checkpoint are kept in memory.
    """
    config, text = checkpoint.config, checkpoint.config.text
    if isinstance(checkpoint, Checkpoint):
        found = decode_traffic(config, 0, dense)
        return Traffic(found.routed_experts, found.other_weights, kv_bytes_per_token(config))
    routed = other = 0
    for name in checkpoint.stored_names:
        stored = checkpoint.stored(name)
        if name.endswith(_ROUTED):
            routed += stored.num_bytes // text.n_routed_experts * text.num_experts_per_tok
        elif name == _EMBEDDING:
            other += stored.num_bytes // text.vocab_size
        else:
            other += stored.num_bytes
    return Traffic(routed, other, kv_bytes_per_token(config))
