"""The vision model: what the engine holds and asks for features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.config import VisionConfig
from moonlet.errors import ShapeError
from moonlet.model.vision.input import VisionItem
from moonlet.model.vision.ops import VisionOps
from moonlet.model.vision.projector import merge_patches, project_patches
from moonlet.model.vision.tower import encode_item
from moonlet.model.vision.weights import VisionWeights


@dataclass(frozen=True, slots=True)
class VisionModel:
    """Tower and projector with their weights. Holds no state between calls."""

    config: VisionConfig
    weights: VisionWeights
    ops: VisionOps

    def encode(self, items: Sequence[VisionItem]) -> list[Tensor]:
        """Features of each item, [num_tokens, text_hidden_size] float32 on the CPU.

        Items go through the tower one after another: nothing is padded, an item's bits cannot depend on its
        company, and memory is that of the largest item. Reading the weights again for each costs little, since
        even a small picture has hundreds of patches to multiply them by.
        Raises ShapeError for patches of another size or more frames than the tower has embeddings for.
        """
        return [self._encode_one(item) for item in items]

    def _encode_one(self, item: VisionItem) -> Tensor:
        config = self.config
        if item.pixels.shape[-1] != config.patch_size:
            raise ShapeError(f"patches of {item.pixels.shape[-1]} pixels, expected patch_size {config.patch_size}")
        if item.grid.t > config.init_pos_emb_time:
            raise ShapeError(f"{item.grid.t} frames, expected at most init_pos_emb_time {config.init_pos_emb_time}")
        with torch.inference_mode():
            hidden_states = encode_item(self.ops, config, self.weights, item)
            merged = merge_patches(hidden_states, item.grid)
            return project_patches(self.ops, config, self.weights.projector, merged).cpu()
