"""`sd2_tpool` and the patch merger: hidden states of an item to rows of the text model's embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.config import VisionConfig
from moonlet.model.vision.input import MERGE, Grid
from moonlet.model.vision.ops import VisionOps
from moonlet.model.vision.tower import layer_norm
from moonlet.model.vision.weights import ProjectorWeights


def merge_patches(hidden_states: Tensor, grid: Grid) -> Tensor:
    """Mean over frames, then squares of four patches together.

    hidden_states: [t * h * w, D].  Returns [num_tokens, 4, D]; within a square row by row.
    """
    width = hidden_states.shape[-1]
    pooled = hidden_states.view(grid.t, grid.h * grid.w, width).mean(dim=0)
    squares = pooled.view(grid.h // MERGE, MERGE, grid.w // MERGE, MERGE, width).transpose(1, 2)
    return squares.reshape(grid.num_tokens, MERGE * MERGE, width)


def project_patches(ops: VisionOps, config: VisionConfig, weights: ProjectorWeights, merged: Tensor) -> Tensor:
    """merged: [num_tokens, 4, D].  Returns [num_tokens, text_hidden_size] float32."""

    def project(rows: Tensor) -> Tensor:
        normed = layer_norm(rows, weights.pre_norm, config.projector_ln_eps).flatten(1)
        # Unlike the tower's, this GELU is the exact one.
        inner = torch.nn.functional.gelu(ops.linear(normed, weights.proj_0))
        return ops.linear(inner, weights.proj_2).float()

    return ops.rows(project, merged)
