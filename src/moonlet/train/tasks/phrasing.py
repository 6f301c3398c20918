"""The wording of a prompt: templates, and the small accidents of how people type."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_OPENERS = (
    "please ",
    "can you ",
    "could you ",
    "hi, ",
    "hey, ",
    "ok, ",
    "now ",
    "hello! ",
    "i have a question. ",
    "quick question: ",
)
_CLOSERS = (
    " think carefully.",
    " please.",
    " think step by step.",
    " thanks!",
    " be careful.",
    " answer briefly.",
    " thank you.",
)


def _typo(rng: Random, template: str) -> str:
    """Drop, double or swap one letter of the template, never inside a {placeholder}."""
    depth = 0
    spots = []
    for index, char in enumerate(template[:-1]):
        depth += (char == "{") - (char == "}")
        if depth == 0 and char.isalpha() and template[index + 1].isalpha():
            spots.append(index)
    if not spots:
        return template
    at = rng.choice(spots)
    kind = rng.randrange(3)
    if kind == 0:
        return template[:at] + template[at + 1 :]
    if kind == 1:
        return template[:at] + template[at] + template[at:]
    return template[:at] + template[at + 1] + template[at] + template[at + 2 :]


def phrase(rng: Random, templates: Sequence[str], closers: bool = True, shouted: float = 0.03, **values: object) -> str:
    """Fill one of `templates`, with the capitals, politeness, punctuation and typos people use.

    The values are inserted last and untouched, so accidents never change the problem.
    closers: whether a remark such as "think carefully." may follow (not where it could be read as payload).
    shouted: share of prompts in capitals.
    """
    template = rng.choice(templates)
    if rng.random() < 0.15:
        opener = rng.choice(_OPENERS)
        if not template.startswith("{"):
            template = opener + template[0].lower() + template[1:]
    style = rng.random()
    if style < 0.35:
        template = template[0].upper() + template[1:]
    elif style < 0.35 + shouted:
        template = "".join(part if part.startswith("{") else part.upper() for part in _parts(template))
    if template.endswith("?"):
        mark = rng.random()
        if mark < 0.15:
            template = template[:-1]
        elif mark < 0.2:
            template = template[:-1] + " ?"
    elif template.endswith(".") and rng.random() < 0.2:
        template = template[:-1]
    if rng.random() < 0.04:
        template = _typo(rng, template)
    if closers and rng.random() < 0.15:
        closer = rng.choice(_CLOSERS)
        template += closer if rng.random() < 0.6 else closer[0] + closer[1].upper() + closer[2:]
    return template.format(**values)


def _parts(template: str) -> list[str]:
    """Split a template into its literal stretches and its {placeholders}, in order."""
    parts: list[str] = []
    for chunk in template.split("{"):
        head, brace, tail = chunk.partition("}")
        if brace:
            parts += ["{" + head + "}", tail]
        else:
            parts.append(chunk)
    return parts
