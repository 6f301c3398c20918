"""One layer of our routed experts as a contestant, for rivals that have no more than that."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from moonlet import __version__
from moonlet.checkpoint import Checkpoint
from moonlet.config import ModelConfig
from moonlet.errors import OptionError
from moonlet.evals.speed.laps import Lap
from moonlet.evals.speed.rivals.drive_kt_kernel import chosen_experts
from moonlet.experts import CpuExperts, bind_experts
from moonlet.kernels import Activations, Runtime
from moonlet.model.cost import weight_bytes


class OurLayer:
    """The first expert layer of a published INT4 checkpoint. Which experts a token goes to follows from its id."""

    name = f"moonlet {__version__}"

    def __init__(self, checkpoint: Checkpoint, rt: Runtime, activations: Activations, chunk_size: int) -> None:
        """Raises OptionError if the experts are not INT4."""
        config = checkpoint.config
        if config.quantization is None:
            raise OptionError(f"{checkpoint.directory}: experts are not quantised, expected the published INT4")
        self.config = config
        self._layer_idx = config.text.first_k_dense_replace
        layers = bind_experts(config, checkpoint.get)
        self._experts = CpuExperts(rt, {self._layer_idx: layers[self._layer_idx]}, activations)
        self._chunk_size = chunk_size

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        """Send `prompt` through the layer in chunks, then each of `following` alone."""
        step = self._chunk_size
        prefill_s = sum(self._forward(prompt[start : start + step]) for start in range(0, len(prompt), step))
        return Lap(prefill_s, sum(self._forward([token_id]) for token_id in following) / len(following))

    def _forward(self, token_ids: Sequence[int]) -> float:
        text = self.config.text
        top_k = text.num_experts_per_tok
        chosen = [chosen_experts(token_id, text.n_routed_experts, top_k) for token_id in token_ids]
        ids = torch.tensor(chosen, dtype=torch.int32)
        weights = torch.full((len(token_ids), top_k), 1.0 / top_k)
        x = torch.randn(len(token_ids), text.hidden_size)
        started = time.perf_counter()
        self._experts.forward(self._layer_idx, x, ids, weights)
        return time.perf_counter() - started


def layer_bytes(config: ModelConfig) -> int:
    """Bytes of the experts one token is sent to in one layer."""
    text = config.text
    per_expert = weight_bytes(config).routed_experts // (text.num_moe_layers * text.n_routed_experts)
    return per_expert * text.num_experts_per_tok


def layer_operations(config: ModelConfig, num_tokens: int) -> int:
    """Multiplications and additions of one expert layer for `num_tokens` tokens."""
    text = config.text
    return 2 * num_tokens * text.num_experts_per_tok * 3 * text.hidden_size * text.moe_intermediate_size
