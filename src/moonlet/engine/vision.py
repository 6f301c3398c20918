"""The vision tower of a model, ready to run: from the published files, or from the `mmproj` file of a GGUF model."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from moonlet.config import EngineOptions
from moonlet.engine.placement import read_pages
from moonlet.engine.source import ModelSource
from moonlet.model.vision import (
    CpuVisionOps,
    TorchVisionOps,
    VisionModel,
    VisionOps,
    bind_vision_weights,
    has_bf16_products,
)


def load_vision(source: ModelSource, ops: VisionOps, device: torch.device) -> VisionModel | None:
    """Bind the tower's weights, in BF16 on `device`; None for a model that reads text only."""
    config = source.config.vision
    if config is None:
        return None
    holder = source.mmproj or source.checkpoint

    def tensor(name: str) -> Tensor:
        stored = holder.get(name)
        read_pages(stored)
        return stored.to(device)

    return VisionModel(config, bind_vision_weights(config, tensor), ops)


def vision_operations(options: EngineOptions, device: torch.device) -> VisionOps:
    """Plain float32 for the reference; BF16 products on a GPU, and on CPU cores that have instructions for them."""
    if options.reference:
        return TorchVisionOps(torch.float32)
    if device.type == "cuda":
        return TorchVisionOps(torch.bfloat16)
    num_threads = options.num_threads or len(os.sched_getaffinity(0))
    return CpuVisionOps(num_threads, torch.bfloat16 if has_bf16_products() else torch.float32)
