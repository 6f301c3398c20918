"""Drawn pictures and clips: what the visual tasks show, and what the tower learns to see in each token."""

from __future__ import annotations

from moonlet.train.pictures.base import (
    CHUNK_FRAMES,
    HEADS,
    PATCH_SIDE,
    TOKEN_SIDE,
    Label,
    Picture,
    num_tokens,
    to_patches,
)

__all__ = ["CHUNK_FRAMES", "HEADS", "PATCH_SIDE", "TOKEN_SIDE", "Label", "Picture", "num_tokens", "to_patches"]
