"""A prompt that ends inside the assistant's message, so that the reply goes on from text the caller wrote."""

from __future__ import annotations

from dataclasses import replace

from moonlet.chat.messages import Message, TextPart
from moonlet.chat.template import RenderedPrompt
from moonlet.chat.tokenizer import Tokenizer
from moonlet.errors import PromptError


def continue_message(prompt: RenderedPrompt, message: Message, tokenizer: Tokenizer) -> RenderedPrompt:
    """`prompt`, which ends where the assistant is to speak, with the beginning of `message` in its mouth.

    The message stands as the template prints a finished one, reasoning closed, but for its end: a reply to it never
    begins as reasoning. `message.name` becomes the label of the role, as in any message.
    """
    assistant, middle = tokenizer.special_ids.get("<|im_assistant|>"), tokenizer.special_ids.get("<|im_middle|>")
    if assistant is None or middle is None or assistant not in prompt.ids:
        raise PromptError("messages: this model's template has no place where a message of the assistant begins")
    start = len(prompt.ids) - prompt.ids[::-1].index(assistant)
    pieces: list[str | int] = [message.name or message.role, middle]
    if tokenizer.think_id is not None and tokenizer.end_think_id is not None:
        pieces.append(tokenizer.think_id)
        if message.reasoning_content:
            pieces.append(message.reasoning_content)
        pieces.append(tokenizer.end_think_id)
    content = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    if content:
        pieces.append(content)
    tail = tokenizer.encode_pieces(pieces)
    cut = prompt.text.rindex("<|im_assistant|>") + len("<|im_assistant|>")
    names = {token_id: name for name, token_id in tokenizer.special_ids.items()}
    return replace(
        prompt,
        text=prompt.text[:cut] + "".join(names[piece] if isinstance(piece, int) else piece for piece in pieces),
        ids=prompt.ids[:start] + tuple(tail),
        opens_thinking=False,
    )
