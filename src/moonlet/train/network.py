"""The trainable model: Kimi K2.5's decoder in plain torch, float32 master weights, no fast paths but the experts.

Parameter names are the published ones, except that the routed experts of a layer are one stacked tensor.
Letters in shapes: B rows, T positions, H heads, D hidden_size, N = B*T tokens, K experts a token, E experts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moonlet.train.quantise import fake_quantised
from moonlet.train.shape import NanoShape
from moonlet.train.sight import Sight
from moonlet.train.tower import Eyes

ROW_BLOCK = 64  # rows of an expert's input come in multiples of this while training
LATENT_NORM_EPS = 1e-6  # the published modelling code's default for the two latent norms


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learnt gain."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps)


def yarn_inverse_frequencies(shape: NanoShape) -> Tensor:
    """[qk_rope_head_dim / 2] float32: angles per position of each rotated pair.

    Pairs that turn often within the original context keep their frequency, slow ones are divided by the factor, with a
    linear ramp between. Source: YaRN, arXiv 2309.00071, as in DeepSeek-V3's published code.
    """
    dim = shape.qk_rope_head_dim
    plain = shape.rope_theta ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)

    def pair_with_turns(turns: float) -> float:
        context = shape.original_max_position_embeddings
        return dim * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(shape.rope_theta))

    low = max(math.floor(pair_with_turns(shape.rope_beta_fast)), 0)
    high = min(math.ceil(pair_with_turns(shape.rope_beta_slow)), dim - 1)
    ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / max(high - low, 0.001)).clamp(0, 1)
    return (plain * (1 - ramp) + plain / shape.rope_factor * ramp).float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i+1) of the last dimension. x: [..., dim]; cos, sin: broadcastable to [..., dim / 2]."""
    even, odd = x.view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


@dataclass(frozen=True, slots=True)
class Context:
    """What every layer's attention needs.

    cos, sin: [T, qk_rope_head_dim / 2] float32.  mask: [B, 1, T, T] bool, true where attended.
    """

    cos: Tensor
    sin: Tensor
    mask: Tensor


class Attention(nn.Module):
    """Multi-head latent attention in its expanded form."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        heads, hidden = shape.num_attention_heads, shape.hidden_size
        self.shape = shape
        self.q_a_proj = nn.Linear(hidden, shape.q_lora_rank, bias=False)
        self.q_a_layernorm = RMSNorm(shape.q_lora_rank, LATENT_NORM_EPS)
        self.q_b_proj = nn.Linear(shape.q_lora_rank, heads * shape.qk_head_dim, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(hidden, shape.kv_lora_rank + shape.qk_rope_head_dim, bias=False)
        self.kv_a_layernorm = RMSNorm(shape.kv_lora_rank, LATENT_NORM_EPS)
        self.kv_b_proj = nn.Linear(shape.kv_lora_rank, heads * (shape.qk_nope_head_dim + shape.v_head_dim), bias=False)
        self.o_proj = nn.Linear(heads * shape.v_head_dim, hidden, bias=False)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        shape = self.shape
        heads, nope = shape.num_attention_heads, shape.qk_nope_head_dim
        cos, sin = context.cos, context.sin
        query = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x))).unflatten(-1, (heads, -1))
        latent, key_rope = self.kv_a_proj_with_mqa(x).split((shape.kv_lora_rank, shape.qk_rope_head_dim), dim=-1)
        key_nope, value = (
            self.kv_b_proj(self.kv_a_layernorm(latent))
            .unflatten(-1, (heads, -1))
            .split((nope, shape.v_head_dim), dim=-1)
        )
        query_rope = rotate(query[..., nope:], cos.unsqueeze(1), sin.unsqueeze(1))
        key_rope = rotate(key_rope, cos, sin).unsqueeze(2).expand(-1, -1, heads, -1)
        queries = torch.cat((query[..., :nope], query_rope), dim=-1).transpose(1, 2)
        keys = torch.cat((key_nope, key_rope), dim=-1).transpose(1, 2)
        values = value.transpose(1, 2)
        # Written out: rows are short, and the CPU's fused kernel takes three times as long, mostly backward.
        scores = (queries * shape.softmax_scale) @ keys.transpose(2, 3)
        attended = scores.masked_fill(~context.mask, float("-inf")).softmax(dim=-1) @ values
        result: Tensor = self.o_proj(attended.transpose(1, 2).flatten(2))
        return result


class DenseMLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class _Permute(torch.autograd.Function):
    """Reorder rows; the gradient is a gather by the inverse, much quicker on a CPU than the general scatter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradients[0].index_select(0, inverse), None, None


class Router(nn.Module):
    """Sigmoid router: chosen by biased score, weighed by unbiased score (DeepSeek-V3, arXiv 2412.19437, 2.1.2)."""

    e_score_correction_bias: Tensor

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.empty(shape.n_routed_experts, shape.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(shape.n_routed_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, D]. Returns expert ids [N, K] int64 and weights [N, K] float32."""
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(x.float(), self.weight).sigmoid()
        ids = (scores.detach() + self.e_score_correction_bias).topk(self.shape.num_experts_per_tok, dim=-1).indices
        weights = scores.gather(1, ids)
        return ids, weights / weights.sum(dim=-1, keepdim=True) * self.shape.routed_scaling_factor


class MoE(nn.Module):
    """Routed experts, INT4-aware when `quantised`, plus the shared expert."""

    load: Tensor

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        experts, hidden, inner = shape.n_routed_experts, shape.hidden_size, shape.moe_intermediate_size
        self.gate = Router(shape)
        self.experts = nn.ParameterDict(
            {
                "gate_proj": nn.Parameter(torch.empty(experts, inner, hidden)),
                "up_proj": nn.Parameter(torch.empty(experts, inner, hidden)),
                "down_proj": nn.Parameter(torch.empty(experts, hidden, inner)),
            }
        )
        self.shared_experts = DenseMLP(hidden, inner * shape.n_shared_experts)
        self.quantised = False
        self.load_lock = Lock()  # the trainer may run several forward passes at once
        # Tokens routed to each expert since the last balancing.
        self.register_buffer("load", torch.zeros(experts), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        ids, weights = self.gate(tokens)
        experts = self.load.numel()
        flat_ids = ids.flatten()
        counts = flat_ids.bincount(minlength=experts)
        if self.training:
            with self.load_lock:
                self.load += counts.to(self.load)
        # Each expert gets a whole number of blocks: the matrix library builds a kernel for every new shape, so few
        # shapes must recur. Filler pairs (token 0, weight never used) take the spare places.
        spare = -counts % ROW_BLOCK
        filler = torch.arange(experts, device=ids.device).repeat_interleave(spare)
        order = torch.cat((flat_ids, filler)).argsort(stable=True)
        inverse = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))
        weight_in = torch.cat((self.experts["gate_proj"], self.experts["up_proj"]), dim=1)
        weight_out = self.experts["down_proj"]
        if self.quantised:
            weight_in, weight_out = fake_quantised(weight_in), fake_quantised(weight_out)
        if torch.is_autocast_enabled(x.device.type):  # one cast a tensor, not one an expert
            dtype = torch.get_autocast_dtype(x.device.type)
            tokens, weight_in, weight_out = tokens.to(dtype), weight_in.to(dtype), weight_out.to(dtype)
        pairs = tokens.unsqueeze(1).expand(-1, ids.shape[1], -1).flatten(0, 1)
        pairs = torch.cat((pairs, pairs.new_zeros(filler.numel(), pairs.shape[1])))
        routed: Tensor = _Permute.apply(pairs, order, inverse)  # type: ignore[no-untyped-call]
        outputs = []
        chunks = torch.split(routed, (counts + spare).tolist())
        for chunk, gate_up, down in zip(chunks, weight_in.unbind(0), weight_out.unbind(0), strict=True):
            gated, up = F.linear(chunk, gate_up).chunk(2, dim=-1)
            outputs.append(F.linear(F.silu(gated) * up, down))
        back: Tensor = _Permute.apply(torch.cat(outputs), inverse, order)  # type: ignore[no-untyped-call]
        back = back[: flat_ids.numel()]
        mixed = torch.einsum("nkd,nk->nd", back.view(*ids.shape, -1).float(), weights)
        result: Tensor = mixed.view_as(x) + self.shared_experts(x)
        return result

    @torch.no_grad()
    def balance(self, rate: float) -> None:
        """Move each expert's bias by `rate` towards an even load, and start counting anew."""
        if rate > 0:
            self.gate.e_score_correction_bias += rate * torch.sign(self.load.mean() - self.load)
        self.load.zero_()


class Layer(nn.Module):
    """Attention, then a dense or expert MLP, each behind a norm and added to the stream."""

    def __init__(self, shape: NanoShape, layer_idx: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        dense = layer_idx < shape.first_k_dense_replace
        self.mlp: nn.Module = DenseMLP(shape.hidden_size, shape.intermediate_size) if dense else MoE(shape)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), context)
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result


class Decoder(nn.Module):
    """Embedding, layers and final norm."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape, idx) for idx in range(shape.num_hidden_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)


class NanoModel(nn.Module):
    """The whole model; `lm_head` is not tied to the embedding, as published. `eyes` where the shape has a tower."""

    inverse_frequencies: Tensor

    def __init__(self, shape: NanoShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)
        self.register_buffer("inverse_frequencies", yarn_inverse_frequencies(shape), persistent=False)
        self._initialise(generator)
        self.eyes = None if shape.vision is None else Eyes(shape.vision, generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator | None) -> None:
        """Fan-in scaled normal weights; what writes into the stream starts smaller, so that depth does not add up."""
        into_stream = (2 * self.shape.num_hidden_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            std = parameter.shape[-1] ** -0.5
            if "embed_tokens" in name:
                std = 0.1
            elif "o_proj" in name or "down_proj" in name:
                std *= into_stream
            parameter.normal_(0.0, std, generator=generator)

    @property
    def moe_layers(self) -> list[MoE]:
        return [module for module in self.modules() if isinstance(module, MoE)]

    def set_quantised(self, quantised: bool) -> None:
        """Turn INT4-aware training of the routed experts on or off."""
        for layer in self.moe_layers:
            layer.quantised = quantised

    def hidden(self, ids: Tensor, mask: Tensor, sight: Sight | None = None) -> Tensor:
        """ids: [B, T] int64; mask: [B, 1, T, T] bool, true where attended.

        sight: what is shown; its features stand in place of the embeddings at its rows and positions.

        Returns the final norm's output [B, T, D] float32.
        """
        positions = torch.arange(ids.shape[1], device=ids.device, dtype=torch.float32)
        angles = torch.outer(positions, self.inverse_frequencies)
        context = Context(angles.cos(), angles.sin(), mask)
        x = self.model.embed_tokens(ids)
        if sight is not None:
            assert self.eyes is not None, "a model without a tower was shown something"
            features = self.eyes(sight.patches, sight.groups)
            x = x.index_put((sight.rows, sight.positions), features.to(x.dtype))
        for layer in self.model.layers:
            x = layer(x, context)
        result: Tensor = self.model.norm(x)
        return result
