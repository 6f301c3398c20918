"""A language model that follows a script, and reads its context only through the cache, as the real one does.

Each token's latent row holds its id and position. Before logits are made, every visible token is read back through
the page table; a wrong slot, page, length or position fails there and then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


def agent_script(tokenizer: Tokenizer, name: str, arguments: Mapping[str, Any], answer: str) -> Script:
    """What a program with tools is tried with: one call of its tool `name`, and `answer` once it has been made.

    The call comes only where the prompt declares that tool; requests beside it, such as for a title, get the answer
    at once. Where a grammar forbids the answer, the shortest JSON that it allows is likely.
    """
    ids = tokenizer.special_ids
    middle, call_end, end_think = ids["<|im_middle|>"], ids["<|tool_call_end|>"], tokenizer.end_think_id
    call = (
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>"
        f"{json.dumps(dict(arguments))}<|tool_call_end|><|tool_calls_section_end|>"
    )
    call_ids, answer_ids = tokenizer.encode_with_specials(call), tokenizer.encode_with_specials(answer)
    reasoning_ids = [*tokenizer.encode("Look."), end_think]
    declaration = [ids["<|im_system|>"], *tokenizer.encode("tool_declare")]
    as_type, as_json = f"type {name} =", f'"name":"{name}"'
    fallback = torch.zeros(tokenizer.vocab_size)
    for rank, text in enumerate(('{"', "}", '"', "]", "0", ":", ",")):
        token_id, *rest = tokenizer.encode(text)
        if not rest:
            fallback[token_id] = 30 - rank

    def script(context: list[int]) -> Tensor:
        start = len(context) - context[::-1].index(middle) if middle in context else len(context)
        said = context[start:]
        reply = answer_ids
        if context[: len(declaration)] == declaration and call_end not in context[:start]:
            tools = tokenizer.decode(context[: context.index(tokenizer.im_end_id)])
            reply = call_ids if as_type in tools or as_json in tools else answer_ids
        if said[:1] == [tokenizer.think_id]:
            said = said[1:]
            if said[:1] != [end_think]:
                reply = [*reasoning_ids, *reply]
            else:
                said = said[1:]
        logits = fallback.clone()
        logits[tokenizer.im_end_id] = 40.0
        if said == reply[: len(said)] and len(said) < len(reply):
            logits[reply[len(said)]] = 50.0
        return logits

    return script
