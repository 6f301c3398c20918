"""What holds for the tower whatever its weights: company, frames, blocks of attention, training."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from moonlet.config import VisionConfig
from moonlet.errors import ShapeError
from moonlet.model.vision import Grid, TorchVisionOps, VisionItem, VisionModel, VisionWeights
from moonlet.model.vision.tower import encode_item
from tests.kernels.compare import assert_close


def test_an_item_has_the_same_bits_alone_and_in_company(
    reference_vision: VisionModel, items: dict[str, VisionItem], random_item: VisionItem
) -> None:
    together = reference_vision.encode([items["odd"], random_item, items["video"], items["gradient"]])
    for found, item in zip(together, (items["odd"], random_item, items["video"], items["gradient"]), strict=True):
        assert torch.equal(found, reference_vision.encode([item])[0])
        assert found.shape == (item.grid.num_tokens, reference_vision.config.text_hidden_size)


def test_tokens_do_not_grow_with_frames(reference_vision: VisionModel, items: dict[str, VisionItem]) -> None:
    video = items["video"]
    one = Grid(1, video.grid.h, video.grid.w)
    picture = video.pixels[: one.num_patches]
    found = [
        reference_vision.encode([VisionItem(picture.repeat(t, 1, 1, 1), replace(one, t=t))])[0] for t in (1, 2, 3, 4)
    ]
    assert {features.shape for features in found} == {(one.num_tokens, reference_vision.config.text_hidden_size)}
    # Frames of a longer chunk are told apart even where they show the same; a single one carries no time.
    assert all((a - b).abs().max() > 1e-4 for a, b in pairwise(found))


def test_attention_is_a_softmax_over_all_patches_of_the_item(random_item: VisionItem) -> None:
    qkv = torch.randn(random_item.grid.num_patches, 3, 4, 16)
    q, k, v = qkv.permute(1, 2, 0, 3).unbind(0)
    plain = (q @ k.transpose(1, 2) / 4).softmax(-1) @ v
    assert_close(TorchVisionOps().attend(qkv), plain.transpose(0, 1).flatten(1), 1e-5)


@pytest.mark.parametrize(("patch", "frames", "message"), [(16, 1, "patches of 16"), (14, 4, "4 frames")])
def test_an_item_the_tower_has_no_weights_for_is_refused(
    reference_vision: VisionModel, patch: int, frames: int, message: str
) -> None:
    item = VisionItem(torch.zeros(frames * 4, 3, patch, patch), Grid(frames, 2, 2))
    short = replace(reference_vision, config=replace(reference_vision.config, init_pos_emb_time=2))
    with pytest.raises(ShapeError, match=message):
        short.encode([item])


def test_gradients_reach_the_first_weights(
    vision_config: VisionConfig, vision_weights: VisionWeights, items: dict[str, VisionItem]
) -> None:
    table = vision_weights.pos_emb.float().requires_grad_()
    weights = replace(vision_weights, pos_emb=table)
    encode_item(TorchVisionOps(), vision_config, weights, items["odd"]).square().mean().backward()
    assert table.grad is not None
    assert table.grad.abs().sum() > 0
