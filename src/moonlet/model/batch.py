"""The tokens of one forward pass, flattened over the sequences they belong to."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GivenEmbeddings:
    """Features of pictures and video, which enter the decoder in the place of token embeddings.

    rows: [K] int64, the tokens of the batch they are for.
    values: [K, hidden_size] float32.
    """

    rows: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True)
class ForwardBatch:
    """One forward pass over T tokens of B sequences; prefill chunks and decode steps look the same.

    input_ids: [T] int64.
    positions: [T] int64, the place of each token in its own sequence.
    slots: [T] int64, where each token's latent is written: page * 64 + offset.
    page_tables: [B, max_pages] int32, the pages of each sequence in order; entries past its length are not read.
    seq_idx: [T] int32, the row of page_tables that a token belongs to.
    context_lens: [T] int32, how many tokens of its sequence a token sees, itself included.
    logits_rows: [M] int64, the tokens whose logits are wanted.
    given: features for placeholder tokens; None where all tokens are text.

    Tokens of one sequence stand in ascending order, and every earlier token of it is in this batch or
    already in the cache: a token's latent is stored before anything attends to it.
    """

    input_ids: Tensor
    positions: Tensor
    slots: Tensor
    page_tables: Tensor
    seq_idx: Tensor
    context_lens: Tensor
    logits_rows: Tensor
    given: GivenEmbeddings | None = None

    def to(self, device: torch.device) -> ForwardBatch:
        """The same batch with every tensor on `device`."""
        given = None
        if self.given is not None:
            given = GivenEmbeddings(self.given.rows.to(device), self.given.values.to(device))
        moved = {item.name: getattr(self, item.name).to(device) for item in fields(self) if item.name != "given"}
        return ForwardBatch(**moved, given=given)
