"""A quick held-out check while training: would greedy decoding give exactly the reference reply?

One forward pass answers it: if at every position of the reply the most likely token is the reference's, greedy decoding
writes that reply. A reply that differs and is still right counts as a miss, so this is a lower bound of the accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import torch

from moonlet.train.conversation import Conversation, Example, render
from moonlet.train.mixture import pack
from moonlet.train.network import NanoModel
from moonlet.train.tasks import BLIND_TASKS, TASKS, Split, draw
from moonlet.train.vocabulary import Vocabulary


@torch.no_grad()
def exact_replies(
    model: NanoModel, vocabulary: Vocabulary, num_problems: int, seed: int, bf16: bool, split: Split = Split.HELD_OUT
) -> dict[tuple[str, str], float]:
    """Share of replies reproduced exactly, by (task name, mode)."""
    scores = {}
    was_training = model.training
    model.eval()
    for task in BLIND_TASKS if model.eyes is None else TASKS:
        for mode, thinks in (("thinking", True), ("instant", False)):
            rng = Random(f"probe/{seed}/{task.name}/{mode}")
            conversations = (Conversation(draw(task, rng, split), thinks) for _ in range(num_problems))
            examples = [render(vocabulary, conversation) for conversation in conversations]
            scores[task.name, mode] = sum(_hits(model, vocabulary, examples, bf16)) / num_problems
    model.train(was_training)
    return scores


def _hits(model: NanoModel, vocabulary: Vocabulary, examples: list[Example], bf16: bool) -> Iterator[bool]:
    device = model.lm_head.weight.device
    longest = max(len(example.ids) for example in examples)
    batch = pack(examples, longest, vocabulary.special("[PAD]")).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        predicted = model.lm_head(model.hidden(batch.ids, batch.mask, sight=batch.sight)).argmax(dim=-1)
    missed = (predicted[:, :-1] != batch.ids[:, 1:]) & batch.learns[:, :-1]
    for row in range(batch.ids.shape[0]):
        for number in range(int(batch.document[row].max()) + 1):
            yield not bool(missed[row][batch.document[row, :-1] == number].any())
