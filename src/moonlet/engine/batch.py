"""Sequences to the flat tensors of one forward pass."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moonlet.engine.sequence import Sequence
from moonlet.model.batch import ForwardBatch, GivenEmbeddings


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `num_tokens` uncomputed tokens of a sequence that holds pages for them.

    features: of the images and frames among them, from a position of the sequence on: [n, hidden_size] float32 each.
    """

    sequence: Sequence
    num_tokens: int
    features: tuple[tuple[int, Tensor], ...] = ()

    @property
    def num_logits(self) -> int:
        """Of its tokens, the last ones whose logits are wanted: to score the prompt, or to choose the next token."""
        sequence = self.sequence
        if sequence.prompt_logits_from is None:
            return int(self.ends_sequence)
        return self.num_tokens - max(0, sequence.prompt_logits_from - sequence.num_computed)

    @property
    def ends_sequence(self) -> bool:
        """Whether the last token known is in it, so that its logits choose the next one."""
        return self.num_tokens == self.sequence.num_uncomputed


def build_batch(chunks: Several[Chunk]) -> ForwardBatch:
    """One batch of all chunks, in their order, with the logits that each chunk wants.

    Page tables are padded with page 0, which nothing past a sequence's length reads.
    """
    input_ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    seq_idx: list[int] = []
    logits_rows: list[int] = []
    features: list[tuple[int, Tensor]] = []
    for index, chunk in enumerate(chunks):
        sequence = chunk.sequence
        assert 0 < chunk.num_tokens <= sequence.num_uncomputed
        assert sequence.pages_wanted(chunk.num_tokens) == 0, "pages are allocated before the batch is built"
        span = range(sequence.num_computed, sequence.num_computed + chunk.num_tokens)
        features.extend((len(input_ids) + position - span.start, rows) for position, rows in chunk.features)
        input_ids.extend(sequence.token_ids[span.start : span.stop])
        positions.extend(span)
        slots.extend(map(sequence.slot, span))
        seq_idx.extend([index] * chunk.num_tokens)
        logits_rows.extend(range(len(input_ids) - chunk.num_logits, len(input_ids)))

    max_pages = max(len(chunk.sequence.pages) for chunk in chunks)
    page_tables = np.zeros((len(chunks), max_pages), dtype=np.int32)
    for table, chunk in zip(page_tables, chunks, strict=True):
        table[: len(chunk.sequence.pages)] = chunk.sequence.pages
    return ForwardBatch(
        input_ids=_tensor(input_ids, np.int64),
        positions=_tensor(positions, np.int64),
        slots=_tensor(slots, np.int64),
        page_tables=torch.from_numpy(page_tables),
        seq_idx=_tensor(seq_idx, np.int32),
        context_lens=_tensor([position + 1 for position in positions], np.int32),
        logits_rows=_tensor(logits_rows, np.int64),
        given=_joined(features),
    )


def _tensor(values: list[int], dtype: type[np.signedinteger[Any]]) -> Tensor:
    """As torch.tensor, which takes several times as long for a list."""
    return torch.from_numpy(np.array(values, dtype=dtype))


def _joined(features: Several[tuple[int, Tensor]]) -> GivenEmbeddings | None:
    """Features that each begin at a row of the batch, as one."""
    if not features:
        return None
    rows = torch.cat([torch.arange(row, row + len(values)) for row, values in features])
    return GivenEmbeddings(rows, torch.cat([values for _, values in features]))
