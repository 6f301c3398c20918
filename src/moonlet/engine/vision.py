"""The vision tower of a model, ready to run: from the published files, or from the `mmproj` file of a GGUF model."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.engine.placement import read_pages
from moonlet.engine.source import ModelSource
from moonlet.kernels.ops import CpuOps, TorchOps
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


def vision_operations(ops: CpuOps | TorchOps) -> VisionOps:
    """The tower's operations beside the decoder's: on the same threads, or in the same type where torch runs both.

    On CPU cores products are in BF16 where there are instructions for them.
    """
    if isinstance(ops, CpuOps):
        return CpuVisionOps(ops.rt, torch.bfloat16 if has_bf16_products() else torch.float32)
    return TorchVisionOps(ops.dtype)
