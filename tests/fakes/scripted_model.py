"""A language model that follows a script, and reads its context only through the cache, as the real one does.

Each token's latent row holds its id and position. Before logits are made, every visible token is read back through
the page table; a wrong slot, page, length or position fails there and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from moonlet.cache import PAGE_SIZE, LatentPages
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.language_model import VisionEncoder
from moonlet.model.batch import ForwardBatch

Script = Callable[[list[int]], Tensor]
"""The ids of the context to the logits of the next token, [vocab_size] float32."""


class ScriptedModel:
    """A LanguageModel. Counts the tokens it computed and remembers the size of each forward pass."""

    def __init__(self, script: Script, vocab_size: int, max_position_embeddings: int = 4096) -> None:
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.vision: VisionEncoder | None = None
        self.script = script
        self.pass_sizes: list[int] = []
        self.before_pass: Callable[[], None] = lambda: None

    def new_cache(self, num_pages: int) -> LatentPages:
        return LatentPages(1, num_pages, 2, torch.float32)

    def forward(self, batch: ForwardBatch, cache: LatentPages) -> Tensor:
        self.before_pass()
        self.pass_sizes.append(len(batch.input_ids))
        rows = cache.layer(0).view(-1, 2)
        entering = torch.stack([batch.input_ids, batch.positions], dim=1).float()
        if batch.given is not None:
            # A picture is seen as whatever its encoder made of it (tests/fakes/vision.py), in the place of the id.
            entering[batch.given.rows, 0] = batch.given.values[:, 0]
        rows[batch.slots] = entering
        logits = [self.script(self._context(batch, int(row), rows)) for row in batch.logits_rows]
        return torch.stack(logits) if logits else torch.empty(0, self.vocab_size)

    def _context(self, batch: ForwardBatch, row: int, rows: Tensor) -> list[int]:
        length = int(batch.context_lens[row])
        assert length == int(batch.positions[row]) + 1
        order = torch.arange(length)
        pages = batch.page_tables[int(batch.seq_idx[row])].long()
        seen = rows[pages[order // PAGE_SIZE] * PAGE_SIZE + order % PAGE_SIZE]
        assert torch.equal(seen[:, 1], order.float()), "the cache does not hold this sequence's tokens in order"
        context: list[int] = seen[:, 0].long().tolist()
        return context


def hashing_script(vocab_size: int, scale: float = 3.0) -> Script:
    """Pseudo-random logits that depend on every token of the context."""

    def script(context: list[int]) -> Tensor:
        seed = 0
        for token_id in context:
            seed = (seed * 1_000_003 + token_id + 1) % (1 << 61)
        return torch.randn(vocab_size, generator=torch.Generator().manual_seed(seed)) * scale

    return script


def reciting_script(tokenizer: Tokenizer, replies: Sequence[str]) -> Script:
    """Recites `replies` (special tokens spelt out), one after each `<|im_assistant|>...<|im_middle|>` of the context.

    The reply to the n-th assistant turn of a conversation is replies[n], the last one again and again after that; the
    ids come after the last `<|im_middle|>` and the `<think>` that the template may put there. A prompt without turns is
    answered by the first token again and again.
    """
    middle, assistant = tokenizer.special_ids["<|im_middle|>"], tokenizer.special_ids["<|im_assistant|>"]
    encoded = [tokenizer.encode_with_specials(reply) for reply in replies]

    def script(context: list[int]) -> Tensor:
        turn = context.count(assistant) - 1
        ids = encoded[min(turn, len(encoded) - 1)]
        start = len(context) - context[::-1].index(middle) if middle in context else len(context)
        # The prompt of a turn goes on with <think>, or with <think></think> in instant mode; a reply that begins with
        # </think> says that itself.
        given = [tokenizer.think_id, *([] if ids[:1] == [tokenizer.end_think_id] else [tokenizer.end_think_id])]
        while given and start < len(context) and context[start] == given[0]:
            start += 1
            given.pop(0)
        said = len(context) - start
        logits = torch.zeros(tokenizer.vocab_size)
        logits[ids[said] if said < len(ids) else tokenizer.im_end_id] = 50.0
        return logits

    return script
