"""The optimiser: Muon for the matrices every token passes through, AdamW for everything else.

Muon (Jordan et al. 2024, as scaled by Moonlight, arXiv 2502.16982, so that one learning rate serves both) learns faster
a step. The routed experts stay with AdamW: orthogonalising 144 matrices would cost as much as the whole rest of a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

BETAS = (0.9, 0.98)
MOMENTUM = 0.95
WEIGHT_DECAY = 0.05
NOT_FOR_MUON = ("embed_tokens", "lm_head", "mlp.gate.", "heads.")  # tables of vectors rather than maps between spaces


class Optimiser:
    """Both optimisers over one model. Matrices decay, norms' gains do not."""

    def __init__(self, model: nn.Module) -> None:
        named = list(model.named_parameters())
        matrices = [p for _, p in named if p.dim() >= 2]
        gains = [p for _, p in named if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": gains, "weight_decay": 0.0}]
        self._adamw = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)
        self._hidden = [p for name, p in named if p.dim() == 2 and not any(part in name for part in NOT_FOR_MUON)]
        self._muon = torch.optim.Muon(
            self._hidden, lr=0.0, weight_decay=WEIGHT_DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
        )

    def step(self, learning_rate: float, muon: bool) -> None:
        """Move every parameter by its gradient. Gradients of Muon's matrices are gone afterwards if `muon`."""
        for group in (*self._adamw.param_groups, *self._muon.param_groups):
            group["lr"] = learning_rate
        if muon:
            self._muon.step()  # type: ignore[no-untyped-call]
            for parameter in self._hidden:
                parameter.grad = None  # AdamW leaves alone what has no gradient
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """Momenta and counters of both."""
        return {"adamw": self._adamw.state_dict(), "muon": self._muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        self._adamw.load_state_dict(state["adamw"])
        self._muon.load_state_dict(state["muon"])
