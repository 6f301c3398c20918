"""Drawing a token from a row of logits: the fast call and its plain reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime

Logits = npt.NDArray[np.float32]


def draw_reference(
    logits: Logits,
    number: float,
    *,
    temperature: float,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> int:
    """The token at which the running sum of weights, by id, passes `number` (in [0, 1)) of the whole.

    A token weighs exp((logit - best) / temperature). Of all the `top_k` largest stay (all if None or 0), of them the
    fewest that have `top_p` of the mass, of them those that weigh at least `min_p`; among equals the lower id stays.

    logits: [vocab_size] float32, the largest finite.  temperature: above 0.
    """
    order = np.argsort(-logits, kind="stable")
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp((logits[order].astype(np.float64) - float(logits.max())) / temperature)
    weights = weights[: top_k or None]
    if top_p < 1:
        before = np.concatenate(([0.0], np.cumsum(weights)[:-1]))
        weights = weights[before < top_p * weights.sum()]
    weights = weights[(weights >= min_p) & (weights > 0)]
    by_id = np.argsort(order[: len(weights)])
    edges = np.cumsum(weights[by_id])
    # Rounding may leave no edge above the number wanted; then it is the last.
    index = min(int(np.searchsorted(edges, number * edges[-1], side="right")), len(edges) - 1)
    return int(order[by_id[index]])


def draw(
    rt: Runtime,
    logits: Logits,
    number: float,
    *,
    temperature: float,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> int:
    """`draw_reference` on the kernels, with weights in float32: those below e^-87 are 0. The row is read alone, on one
    thread, so a token depends on nothing but its logits and the number."""
    # A client may ask for more tokens than any integer of the kernel holds; all of them is as many as there are.
    return _kernels.draw(rt.native, logits, temperature, min(top_k or 0, len(logits)), top_p, min_p, number)
