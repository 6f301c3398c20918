"""The vision tower of a model, ready to run: from the published files, or from the `mmproj` file of a GGUF model."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.config import EngineOptions
from moonlet.engine.placement import read_pages
from moonlet.engine.source import ModelSource
from moonlet.model.vision import TorchVisionOps, VisionModel, VisionOps, bind_vision_weights


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


def vision_operations(options: EngineOptions) -> VisionOps:
    """Float32 for the reference, BF16 products elsewhere."""
    return TorchVisionOps(torch.float32 if options.reference else torch.bfloat16)
