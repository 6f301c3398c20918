"""The golden tiny checkpoint, run through the decoder on either set of operations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from moonlet.cache import PAGE_SIZE, LatentPages
from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.config import TextConfig
from moonlet.experts import CpuExperts, TorchExperts, bind_experts
from moonlet.kernels import Runtime
from moonlet.kernels.ops import CpuOps, Ops, Routing, TorchOps
from moonlet.kernels.weights import Bf16Weight
from moonlet.model import Decoder, ForwardBatch, WeightSource, bind_weights

TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"


@dataclass
class Recorder:
    """Keeps what a forward pass shows."""

    hidden: dict[int, Tensor] = field(default_factory=dict)
    routing: dict[int, Routing] = field(default_factory=dict)

    def on_hidden(self, layer_idx: int, hidden_states: Tensor) -> None:
        self.hidden[layer_idx] = hidden_states.clone()

    def on_routing(self, layer_idx: int, routing: Routing) -> None:
        self.routing[layer_idx] = routing


def make_decoder(checkpoint: Checkpoint, ops: Ops, experts: object) -> Decoder:
    source = WeightSource(
        tensor=checkpoint.get,
        linear=lambda name: Bf16Weight(checkpoint.get(name)),
        exact_linear=lambda name: Bf16Weight(checkpoint.get(name)),
    )
    return Decoder(checkpoint.config.text, bind_weights(checkpoint.config, source), ops, experts)


def run(
    decoder: Decoder,
    input_ids: Tensor,
    *,
    positions: Tensor | None = None,
    chunk_size: int | None = None,
    kv_dtype: torch.dtype = torch.float32,
    recorder: Recorder | None = None,
) -> Tensor:
    """Logits of every token of one sequence, prefilled in chunks: [T, vocab_size]."""
    num_tokens = len(input_ids)
    num_pages = -(-num_tokens // PAGE_SIZE)
    config = decoder.config
    cache = LatentPages(config.num_hidden_layers, num_pages, config.latent_width, kv_dtype, torch.device("cpu"))
    table = torch.arange(num_pages, dtype=torch.int32).flip(0)[None].contiguous()
    order = torch.arange(num_tokens)
    slots = table[0].long()[order // PAGE_SIZE] * PAGE_SIZE + order % PAGE_SIZE
    logits = []
    for chunk in order.split(chunk_size or num_tokens):
        batch = ForwardBatch(
            input_ids=input_ids[chunk].long(),
            positions=(positions if positions is not None else order)[chunk].long(),
            slots=slots[chunk],
            page_tables=table,
            seq_idx=torch.zeros(len(chunk), dtype=torch.int32),
            context_lens=(chunk + 1).int(),
            logits_rows=torch.arange(len(chunk)),
        )
        logits.append(decoder.forward(batch, cache, recorder))
    return torch.cat(logits)


@pytest.fixture(scope="session")
def tiny() -> Checkpoint:
    return open_checkpoint(TINY)


@pytest.fixture(scope="session")
def tiny_config(tiny: Checkpoint) -> TextConfig:
    return tiny.config.text


@pytest.fixture(scope="session")
def expected() -> dict[str, Tensor]:
    return load_file(TINY / "expected.safetensors")


@pytest.fixture(scope="session")
def prompts() -> dict[str, str]:
    return json.loads((TINY / "prompts.json").read_text())


@pytest.fixture(scope="session")
def reference(tiny: Checkpoint) -> Decoder:
    """Everything in float32, plain torch."""
    return make_decoder(tiny, TorchOps(), TorchExperts(bind_experts(tiny.config, tiny.get), torch.float32))


@pytest.fixture(scope="session")
def on_kernels(tiny: Checkpoint) -> Callable[..., Decoder]:
    """A decoder on the CPU kernels, for a choice of activations, threads and ISA."""

    def make(activations: str = "int8", num_threads: int | None = None, isa: str = "auto") -> Decoder:
        rt = Runtime(num_threads, isa)
        experts = CpuExperts(rt, bind_experts(tiny.config, tiny.get), activations)  # type: ignore[arg-type]
        return make_decoder(tiny, CpuOps(rt), experts)

    return make
