"""The trainable tower sees what the engine's tower sees."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from moonlet.checkpoint.layout import expected_layout
from moonlet.config import load_model_config
from moonlet.model.vision import Grid, TorchVisionOps, VisionItem, VisionModel, bind_vision_weights
from moonlet.train.export import export_checkpoint
from moonlet.train.network import NanoModel
from moonlet.train.shape import NanoShape
from moonlet.train.tower import Items
from moonlet.train.vocabulary import Vocabulary

GRIDS = (Grid(1, 2, 6), Grid(4, 4, 4), Grid(3, 2, 2), Grid(1, 16, 16))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_features_equal_the_engines_for_the_exported_weights(
    seeing_shape: NanoShape, vocabulary: Vocabulary, tmp_path, grid: Grid
) -> None:
    model = NanoModel(seeing_shape, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.eyes.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))  # as the export rounds them
    export_checkpoint(model.state_dict(), seeing_shape, vocabulary, tmp_path)
    config, tensors = load_model_config(tmp_path), load_file(tmp_path / "model.safetensors")
    weights = bind_vision_weights(config.vision, lambda name: tensors[name].float())
    engine = VisionModel(config.vision, weights, TorchVisionOps())
    pixels = torch.randn(grid.num_patches, 3, 14, 14, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = model.eyes(pixels.flatten(1), [Items((grid.t, grid.h, grid.w), 1)])
    theirs = engine.encode([VisionItem(pixels, grid)])[0]
    worst = (ours - theirs).abs().max()
    assert worst <= 1e-4, f"largest difference {worst:.2e}"  # float32 sums in another order


def test_items_of_several_grids_go_through_together_as_alone(seeing_shape: NanoShape) -> None:
    eyes = NanoModel(seeing_shape, torch.Generator().manual_seed(1)).eyes
    groups = [Items((1, 2, 4), 2), Items((4, 2, 2), 3), Items((1, 4, 2), 1)]
    patches = torch.randn(sum(items.num_rows for items in groups), 588, generator=torch.Generator().manual_seed(2))
    together = eyes(patches, groups)
    alone = []
    for items, rows in zip(groups, patches.split([items.num_rows for items in groups]), strict=True):
        alone += [eyes(item, [Items(items.grid, 1)]) for item in rows.chunk(items.count)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_the_exported_names_are_the_layout_that_the_reader_demands(
    seeing_shape: NanoShape, vocabulary: Vocabulary, tmp_path
) -> None:
    export_checkpoint(NanoModel(seeing_shape).state_dict(), seeing_shape, vocabulary, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    layout = expected_layout(load_model_config(tmp_path))
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: spec.shape for name, spec in layout.items()
    }
    assert (tmp_path / "preprocessor_config.json").exists()
