"""A checkpoint directory to a model ready to run: plan, place, bind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from moonlet.cache import LatentPages
from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint
from moonlet.config import ModelConfig, ModelOptions
from moonlet.engine.fingerprint import model_fingerprint
from moonlet.engine.language_model import VisionEncoder
from moonlet.engine.placement import Placer, Progress, is_routed_expert
from moonlet.engine.source import open_source
from moonlet.engine.vision import load_vision, vision_operations
from moonlet.errors import OptionError
from moonlet.experts import (
    Bf16Experts,
    BlockExperts,
    CpuBlockExperts,
    CpuExperts,
    TorchExperts,
    bind_experts,
    have_kernels,
    move_layers,
)
from moonlet.kernels import Runtime, block_formats
from moonlet.kernels.ops import AttentionForm, CpuOps, Ops, TorchOps
from moonlet.media.config import MediaProcessorConfig, load_media_config
from moonlet.model import Decoder, ExpertBackend, ForwardBatch, bind_weights
from moonlet.model.machine import available_memory_bytes
from moonlet.model.memory import MemoryPlan, plan_memory

logger = logging.getLogger(__name__)

PlanReport = Callable[[MemoryPlan], None]
"""Called with the plan before anything is loaded."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder with everything a conversation with it needs; a `LanguageModel`.

    cache_dtype, device: of the latent pages.  context_length: tokens of prompt and reply together.
    int8_loss: relative change of the weights that were made INT8 while loading, root mean square; 0 if none were.
    torch_threads: threads torch itself may use in a forward pass.
    vision: the tower that reads images and video; None for a checkpoint without one.
    media_config: how images and video are cut up for it.
    fingerprint: of everything that latents depend on beside the ids.
    rt: threads and instruction set of the kernels.
    """

    config: ModelConfig
    decoder: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate
    plan: MemoryPlan
    context_length: int
    cache_dtype: torch.dtype
    device: torch.device
    torch_threads: int
    int8_loss: float
    vision: VisionEncoder | None
    media_config: MediaProcessorConfig
    fingerprint: bytes
    rt: Runtime

    @property
    def vocab_size(self) -> int:
        """Logits a token."""
        return self.config.text.vocab_size

    @property
    def max_position_embeddings(self) -> int:
        """Tokens of the longest context the model was made for."""
        return self.config.text.max_position_embeddings

    def new_cache(self, num_pages: int) -> LatentPages:
        """Latent pages for this model, on the device its attention runs on."""
        text = self.config.text
        return LatentPages(text.num_hidden_layers, num_pages, text.latent_width, self.cache_dtype, self.device)

    def forward(self, batch: ForwardBatch, cache: LatentPages) -> Tensor:
        """Logits of the rows asked for, [M, vocab_size] float32 on the CPU."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.torch_threads)
        try:
            return self.decoder.forward(batch.to(self.device), cache).cpu()
        finally:
            torch.set_num_threads(before)


def load_model(
    directory: Path,
    options: ModelOptions,
    *,
    progress: Progress | None = None,
    on_plan: PlanReport | None = None,
) -> LoadedModel:
    """Load the checkpoint in `directory`, or the .gguf file of that name.

    Every file is verified and the plan is held against this machine's memory before a weight is read.
    Raises ConfigError, CheckpointError, TemplateError, OptionError or OutOfMemoryError, each in one line.
    """
    source = open_source(directory, options.mmproj)
    checkpoint = source.checkpoint
    device = _device(options)
    # Blocks of a GGUF file are multiplied by as they are where the kernels run; elsewhere they are widened.
    kept = block_formats() if device.type == "cpu" and not options.reference else frozenset[str]()
    placer = Placer(checkpoint, device, int8_linears=options.dense == "int8", block_formats=kept, progress=progress)
    stored = (_expert_bytes(checkpoint), placer.total_bytes if isinstance(checkpoint, GgufCheckpoint) else None)
    plan = plan_memory(source.config, options, _available_bytes(device), *stored)
    if on_plan is not None:
        on_plan(plan)

    rt = Runtime(options.num_threads, options.isa)
    ops = _operations(rt, options, device)
    with torch.inference_mode():
        weights = bind_weights(checkpoint.config, placer.source())
        experts = _experts(checkpoint, rt, options, ops, device)
        vision = load_vision(source, vision_operations(ops), device)
    media_config = load_media_config(directory)
    return LoadedModel(
        config=source.config,
        decoder=Decoder(checkpoint.config.text, weights, ops, experts),
        tokenizer=source.tokenizer,
        template=source.template,
        plan=plan,
        context_length=plan.context_length,
        cache_dtype=torch.float32 if options.reference else torch.float16,
        device=device,
        vision=vision,
        media_config=media_config,
        fingerprint=model_fingerprint(source, options, media_config),
        rt=rt,
        int8_loss=placer.rounding_loss.relative,
        # The kernels bring their own threads. Torch's, used for little more than additions, would spin beside them and
        # take their cores: with both, a prefill was measured 4 to 6 times slower on 2 busy cores.
        torch_threads=1 if isinstance(ops, CpuOps) else options.num_threads or torch.get_num_threads(),
    )


def _device(options: ModelOptions) -> torch.device:
    if options.device == "cuda":
        if not torch.cuda.is_available():
            raise OptionError("device is 'cuda', but torch sees no CUDA GPU on this machine; use --device cpu")
        if options.dense == "int8":
            raise OptionError(
                "dense is 'int8' with device 'cuda', expected 'bf16': INT8 linears run on the CPU kernels"
            )
    return torch.device(options.device)


def _available_bytes(device: torch.device) -> int:
    """Memory where the non-expert weights and the cache go: the GPU's where there is one in use."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory_bytes()


def _expert_bytes(checkpoint: Checkpoint | GgufCheckpoint) -> int | None:
    """Bytes of the routed experts where the config does not tell them: each tensor of a GGUF file has its own type."""
    return checkpoint.expert_bytes if isinstance(checkpoint, GgufCheckpoint) else None


def _operations(rt: Runtime, options: ModelOptions, device: torch.device) -> CpuOps | TorchOps:
    attention = cast(AttentionForm, options.attention)
    if options.reference:
        return TorchOps(torch.float32, device, attention)
    if device.type == "cuda":
        return TorchOps(torch.bfloat16, device, attention)
    return CpuOps(rt, attention)


def _experts(
    checkpoint: Checkpoint | GgufCheckpoint, rt: Runtime, options: ModelOptions, ops: Ops, device: torch.device
) -> ExpertBackend:
    """Routed experts go to the GPU if they all fit in what is left there; otherwise they stay mapped for the CPU."""
    config = checkpoint.config
    if isinstance(checkpoint, GgufCheckpoint):
        moe_layers = [i for i in range(config.text.num_hidden_layers) if config.text.is_moe_layer(i)]
        layers_of_blocks = {i: checkpoint.experts(i) for i in moe_layers}
        if options.reference or not all(have_kernels(layer) for layer in layers_of_blocks.values()):
            return BlockExperts(layers_of_blocks, torch.float32)
        return CpuBlockExperts(rt, layers_of_blocks)
    if config.quantization is None:
        if device.type == "cuda" and not _fit_on_gpu(checkpoint, device):
            raise OptionError("device is 'cuda', but the unquantised experts do not fit on the GPU; use --device cpu")
        return Bf16Experts(config, lambda name: checkpoint.get(name).to(device), ops)
    layers = bind_experts(config, checkpoint.get)
    if options.reference:
        return TorchExperts(layers, torch.float32)
    if device.type == "cuda" and _fit_on_gpu(checkpoint, device):
        return TorchExperts(move_layers(layers, device), torch.bfloat16)
    return CpuExperts(rt, layers, cast(Literal["int8", "bf16"], options.activations))


GPU_RESERVE_BYTES = 4 << 30
"""Left free on a GPU for the cache, one expert widened and the allocator's own slack."""


def _fit_on_gpu(checkpoint: Checkpoint, device: torch.device) -> bool:
    expert_bytes = sum(checkpoint.entry(name).num_bytes for name in checkpoint.names if is_routed_expert(name))
    free_bytes, _ = torch.cuda.mem_get_info(device)
    fits = expert_bytes + GPU_RESERVE_BYTES <= free_bytes
    logger.info(
        "routed experts: %.1f GB, %.1f GB free on the GPU: they run on the %s",
        expert_bytes / 1e9,
        free_bytes / 1e9,
        "GPU" if fits else "CPU",
    )
    return fits
