"""Tower and projector against the reference run of the golden tiny checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.model.vision import VisionItem, VisionModel
from moonlet.model.vision.tower import encode_item
from tests.kernels.compare import assert_close

TOLERANCE = 2e-5
"""Of the vectors' README: float32 sums in another order."""


def test_hidden_states_equal_the_golden_run(
    reference_vision: VisionModel, items: dict[str, VisionItem], expected: dict[str, Tensor]
) -> None:
    for name, vector in (("gradient", "image"), ("video", "video")):
        found = encode_item(reference_vision.ops, reference_vision.config, reference_vision.weights, items[name])
        assert_close(found, expected[f"{vector}.vision_last_hidden"], TOLERANCE)


def test_features_equal_the_golden_run(
    reference_vision: VisionModel, items: dict[str, VisionItem], expected: dict[str, Tensor]
) -> None:
    for name, vector in (("gradient", "image"), ("video", "video"), ("video3", "video3")):
        (found,) = reference_vision.encode([items[name]])
        assert_close(found, expected[f"{vector}.vision_features"], TOLERANCE)
    batch = torch.cat(reference_vision.encode([items["gradient"], items["odd"]]))
    assert_close(batch, expected["batch2.vision_features"], TOLERANCE)
