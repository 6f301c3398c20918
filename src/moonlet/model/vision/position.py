"""Where a patch is: a learned grid stretched over the picture, a sine for the frame, rotations for row and column.

Letters: t, h, w as in `Grid`; D vt_hidden_size; C width of a head.
Source: modelling code published with Kimi K2.5 (MoonViT3d).
"""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.model.vision.input import Grid

TIME_THETA = 10000.0
ROPE_THETA = 10000.0


def patch_positions(pos_emb: Tensor, grid: Grid) -> Tensor:
    """What is added to each patch's embedding: [t * h * w, D] float32.

    pos_emb: [height, width, D], the learned grid. A picture of exactly its size takes it as it is. Frames of a chunk
    differ by a sine-cosine embedding of their number; a single frame gets none, so that it equals a picture.
    """
    table = pos_emb.float()
    if table.shape[:2] != (grid.h, grid.w):
        channels_first = table.permute(2, 0, 1).unsqueeze(0)
        resized = torch.nn.functional.interpolate(channels_first, size=(grid.h, grid.w), mode="bicubic")
        table = resized.squeeze(0).permute(1, 2, 0)
    space = table.flatten(0, 1)
    if grid.t == 1:
        return space
    return (space + frame_embeddings(grid.t, space.shape[1]).to(space.device).unsqueeze(1)).flatten(0, 1)


def frame_embeddings(num_frames: int, width: int) -> Tensor:
    """Sines, then cosines, of the frame's number over geometric wavelengths: [num_frames, width] float32."""
    inv_freq = 1.0 / TIME_THETA ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(num_frames, dtype=torch.float32)[:, None] * inv_freq
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def rotations(head_width: int, grid: Grid) -> tuple[Tensor, Tensor]:
    """Cosines and sines of each patch, two tensors [t * h * w, C / 2] float32; the same for every frame.

    Of the interleaved pairs of a head, even ones turn by the column and odd ones by the row, both through the same
    C / 4 frequencies.
    """
    half = head_width // 2
    inv_freq = 1.0 / ROPE_THETA ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
    by_row = torch.arange(grid.h, dtype=torch.float32)[:, None] * inv_freq
    by_column = torch.arange(grid.w, dtype=torch.float32)[:, None] * inv_freq
    shape = (grid.h, grid.w, half // 2)
    both = torch.stack((by_column[None].expand(shape), by_row[:, None].expand(shape)), dim=-1)
    angles = both.flatten(2).flatten(0, 1).repeat(grid.t, 1)
    return angles.cos(), angles.sin()
