"""Who answers the held-out problems: the real engine, or the training network decoding greedily in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from moonlet.engine import LLM, SamplingParams
from moonlet.train.conversation import Conversation, Example, render_prompt
from moonlet.train.media_files import content_part
from moonlet.train.network import LayerCache, NanoModel
from moonlet.train.sight import PlacedChunk, gather
from moonlet.train.vocabulary import Vocabulary


class Answerer(Protocol):
    """Answers conversations greedily."""

    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:
        """The visible reply to each, reasoning removed; None where `max_tokens` did not suffice to end it."""
        ...


class EngineAnswerer:
    """The engine as every user meets it; what published scores are measured with."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:
        """As `Answerer.answers`, one conversation after the other."""
        return [self._answer(conversation, max_tokens) for conversation in conversations]

    def _answer(self, conversation: Conversation, max_tokens: int) -> str | None:
        messages: list[dict[str, Any]] = []
        if conversation.system is not None:
            messages.append({"role": "system", "content": conversation.system})
        for exchange in conversation.exchanges:
            messages.append({"role": "user", "content": exchange.user})
            messages.append({"role": "assistant", "content": exchange.reply})
        problem = conversation.problem
        parts = [content_part(picture) for picture in problem.media]
        content = [*parts, {"type": "text", "text": problem.user}] if parts else problem.user
        messages.append({"role": "user", "content": content})
        sampling = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        reply = self._llm.chat(messages, thinking=conversation.thinks, sampling=sampling)
        return reply.content if reply.finish_reason == "stop" else None


class NetworkAnswerer:
    """The training network itself, many conversations at a time: for checks while training."""

    def __init__(self, model: NanoModel, vocabulary: Vocabulary, batch_size: int = 100) -> None:
        self._model = model.eval()
        self._vocabulary = vocabulary
        self._batch_size = batch_size

    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:
        """As `Answerer.answers`. Prompts of like length go together."""
        prompts = [render_prompt(self._vocabulary, conversation) for conversation in conversations]
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
        answers: list[str | None] = [None] * len(prompts)
        for at in range(0, len(prompts), self._batch_size):
            chosen = by_length[at : at + self._batch_size]
            replies = self._decode([prompts[index] for index in chosen], max_tokens)
            for index, reply in zip(chosen, replies, strict=True):
                answers[index] = self._visible(reply)
        return answers

    def _visible(self, reply: list[int]) -> str | None:
        end, end_think = self._vocabulary.special("<|im_end|>"), self._vocabulary.special("</think>")
        if end not in reply:
            return None
        reply = reply[: reply.index(end)]
        if end_think in reply:
            reply = reply[reply.index(end_think) + 1 :]
        return self._vocabulary.decode(reply)

    @torch.no_grad()
    def _decode(self, prompts: list[Example], max_tokens: int) -> list[list[int]]:
        """Greedy replies, each with all that was decoded until the last of the batch had ended."""
        device = self._model.lm_head.weight.device
        longest = max(len(prompt.ids) for prompt in prompts)
        spare = [longest - len(prompt.ids) for prompt in prompts]
        pad, end = self._vocabulary.special("[PAD]"), self._vocabulary.special("<|im_end|>")
        # Padding stands before the prompt: rotary attention sees distances only, so the shift changes nothing.
        ids = torch.tensor([[pad] * s + list(p.ids) for s, p in zip(spare, prompts, strict=True)], device=device)
        real = torch.tensor([[False] * s + [True] * (longest - s) for s in spare], device=device)
        chunks = [
            PlacedChunk(row, spare[row] + chunk.at, chunk.frames)
            for row, prompt in enumerate(prompts)
            for chunk in prompt.chunks
        ]
        sight = gather(chunks).to(device) if chunks else None
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        itself = torch.eye(longest, dtype=torch.bool, device=device)  # padding needs something to attend to
        mask = ((causal & real.unsqueeze(1)) | itself).unsqueeze(1)
        caches = [LayerCache() for _ in self._model.model.layers]
        hidden = self._model.hidden(ids, mask, 0, caches, sight)
        ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        replies: list[Tensor] = []
        for position in range(longest, longest + max_tokens):
            token = self._model.lm_head(hidden[:, -1].float()).argmax(dim=-1, keepdim=True)
            replies.append(token)
            ended |= token[:, 0] == end
            if bool(ended.all()):
                break
            real = torch.cat((real, torch.ones_like(real[:, :1])), dim=1)
            hidden = self._model.hidden(token, real.view(len(prompts), 1, 1, -1), position, caches)
        return torch.cat(replies, dim=1).tolist()
