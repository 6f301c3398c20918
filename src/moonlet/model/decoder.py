"""The language model of Kimi K2.5: embed, 61 pre-norm layers of latent attention and experts, norm, head."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from moonlet.config import TextConfig
from moonlet.kernels.ops import Ops, Routing
from moonlet.model.attention import attend
from moonlet.model.batch import ForwardBatch
from moonlet.model.expert_backend import ExpertBackend
from moonlet.model.moe import mixture, swiglu
from moonlet.model.rope import Rope, softmax_scale
from moonlet.model.weights import DecoderWeights, MoeWeights


class LayerPages(Protocol):
    """The part of a latent cache the decoder sees."""

    def layer(self, layer_idx: int) -> Tensor:
        """One layer's pages: [num_pages, 64, kv_lora_rank + qk_rope_head_dim]."""
        ...


class ForwardObserver(Protocol):
    """Watches a forward pass; must not change what it is shown."""

    def on_hidden(self, layer_idx: int, hidden_states: Tensor) -> None:
        """`hidden_states` [T, hidden_size] enters layer `layer_idx`; num_hidden_layers means the final norm's input."""
        ...

    def on_routing(self, layer_idx: int, routing: Routing) -> None:
        """The experts an MoE layer chose."""
        ...


class Decoder:
    """The decoder over one set of operations (CPU kernels or torch) and one expert backend.

    Holds no state of any sequence: positions and cache come with each call, so one decoder serves many.
    """

    def __init__(self, config: TextConfig, weights: DecoderWeights, ops: Ops, experts: ExpertBackend) -> None:
        self.config = config
        self._weights = weights
        self._ops = ops
        self._experts = experts
        self._rope = Rope.from_config(config)
        self._softmax_scale = softmax_scale(config)

    def forward(self, batch: ForwardBatch, cache: LayerPages, observer: ForwardObserver | None = None) -> Tensor:
        """Logits of the rows asked for: [len(batch.logits_rows), vocab_size] float32; fills the batch's cache slots."""
        ops, config = self._ops, self.config
        hidden_states = ops.embed(batch.input_ids, self._weights.embed_tokens)
        if batch.given is not None:
            hidden_states[batch.given.rows] = batch.given.values
        cos, sin = (table.to(hidden_states.device) for table in self._rope.cos_sin(batch.positions))

        for layer_idx, weights in enumerate(self._weights.layers):
            if observer is not None:
                observer.on_hidden(layer_idx, hidden_states)
            normed = ops.rms_norm(hidden_states, weights.input_layernorm, config.rms_norm_eps)
            hidden_states = hidden_states + attend(
                ops, config, weights.self_attn, normed, (cos, sin), self._softmax_scale, batch, cache.layer(layer_idx)
            )
            normed = ops.rms_norm(hidden_states, weights.post_attention_layernorm, config.rms_norm_eps)
            if isinstance(weights.mlp, MoeWeights):
                output, routing = mixture(ops, config, weights.mlp, self._experts, layer_idx, normed)
                if observer is not None:
                    observer.on_routing(layer_idx, routing)
            else:
                output = swiglu(ops, weights.mlp, normed)
            hidden_states = hidden_states + output

        if observer is not None:
            observer.on_hidden(config.num_hidden_layers, hidden_states)
        rows = hidden_states[batch.logits_rows]
        return ops.linear(ops.rms_norm(rows, self._weights.norm, config.rms_norm_eps), self._weights.lm_head)
