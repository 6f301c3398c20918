"""Where each weight goes and in which form: mapped as stored, made INT8, or copied to a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint
from moonlet.formats import int8g32
from moonlet.formats.gguf.matrix import BlockMatrix
from moonlet.kernels.weights import Bf16Weight, BlockWeight, F32Weight, Int8Weight, LinearWeight
from moonlet.model import WeightSource

Progress = Callable[[int, int], None]
"""Called with the bytes of non-expert weights in place and the bytes in all."""

ALWAYS_WIDENED = ("embed_tokens.weight", "kv_b_proj.weight", "mlp.gate.weight")
"""Matrices that are not multiplied as linear layers, or never lowered: BF16 whatever a file holds."""

ROWS_AT_ONCE = 4096
"""Rows made INT8 at a time: widening to float32 for the rounding must not double a large matrix in memory."""


def is_routed_expert(name: str) -> bool:
    """Whether a published tensor name belongs to a routed expert."""
    return ".mlp.experts." in name


def is_language_model(name: str) -> bool:
    """Whether a published tensor name belongs to the decoder rather than to the vision tower or its projector."""
    return not name.startswith(("vision_tower.", "mm_projector."))


@dataclass(slots=True)
class Placer:
    """Takes tensors out of a checkpoint one at a time and reports how far it is.

    device: where the tensors are used.  int8_linears: whether linear layers are rounded to INT8 on the way.
    block_formats: formats that linear layers may keep from a GGUF file, as stored; INT8 is for the others.
    """

    checkpoint: Checkpoint | GgufCheckpoint
    device: torch.device
    int8_linears: bool
    block_formats: frozenset[str] = frozenset()
    progress: Progress | None = None
    rounding_loss: int8g32.RoundingLoss = field(default_factory=int8g32.RoundingLoss, init=False)
    _done_bytes: int = field(default=0, init=False)
    _total_bytes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        names = (n for n in self.checkpoint.names if is_language_model(n) and not is_routed_expert(n))
        self._total_bytes = sum(self._num_bytes(name) for name in names)

    @property
    def total_bytes(self) -> int:
        """What all weights take once placed, before any is made INT8."""
        return self._total_bytes

    def source(self) -> WeightSource:
        """The weights of the decoder, as `bind_weights` wants them."""
        return WeightSource(tensor=self.tensor, linear=self._linear, exact_linear=self._router_linear)

    def tensor(self, name: str) -> Tensor:
        """The tensor as stored, in memory on this device."""
        stored = self.checkpoint.get(name)
        if self.device.type == "cpu":
            placed = stored
            read_pages(stored)
        else:
            placed = stored.to(self.device)
        self._report(stored.nbytes)
        return placed

    def _router_linear(self, name: str) -> LinearWeight:
        """A weight whose products keep float32 activations; torch on a GPU narrows them for BF16."""
        stored = self.tensor(name)
        if stored.dtype == torch.bfloat16 and self.device.type == "cpu":
            return Bf16Weight(stored)
        return F32Weight(stored.float())

    def _stored_linear(self, name: str) -> LinearWeight:
        return Bf16Weight(self.tensor(name))

    def _blocks(self, name: str) -> BlockMatrix | None:
        """The matrix in the blocks of its file, if it is multiplied by as stored."""
        if not self.block_formats or not isinstance(self.checkpoint, GgufCheckpoint) or name.endswith(ALWAYS_WIDENED):
            return None
        stored = self.checkpoint.linear_blocks(name)
        return stored if stored is not None and stored.kind.name in self.block_formats else None

    def _num_bytes(self, name: str) -> int:
        blocks = self._blocks(name)
        return self.checkpoint.entry(name).num_bytes if blocks is None else blocks.num_bytes

    def _linear(self, name: str) -> LinearWeight:
        blocks = self._blocks(name)
        if blocks is not None:
            read_pages(blocks.rows)
            self._report(blocks.num_bytes)
            return BlockWeight(blocks.rows, blocks.kind.name)
        if not self.int8_linears:
            return self._stored_linear(name)
        stored = self.checkpoint.get(name)
        codes = torch.empty(stored.shape, dtype=torch.uint8)
        scales = torch.empty(stored.shape[0], stored.shape[1] // int8g32.GROUP_SIZE, dtype=torch.bfloat16)
        for start in range(0, stored.shape[0], ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            codes[rows], scales[rows] = int8g32.quantize(stored[rows])
            self.rounding_loss.add(stored[rows], codes[rows], scales[rows])
        self._report(stored.nbytes)
        return Int8Weight(codes, scales)

    def _report(self, num_bytes: int) -> None:
        self._done_bytes += num_bytes
        if self.progress is not None:
            self.progress(self._done_bytes, self._total_bytes)


def read_pages(stored: Tensor) -> None:
    """Touch one byte of every page of a mapped tensor, so that the disk is read now and not in the first answer."""
    stored.view(torch.uint8).flatten()[::4096].sum()
