"""Checkpoint files to tensors: published safetensors, verified strictly and mapped, never copied."""

from moonlet.checkpoint.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.layout import TensorSpec, expected_layout

__all__ = ["Checkpoint", "TensorSpec", "expected_layout", "open_checkpoint"]
