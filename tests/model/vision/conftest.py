"""The golden tiny checkpoint's vision tower and what it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from moonlet.checkpoint import Checkpoint
from moonlet.config import VisionConfig
from moonlet.model.vision import Grid, TorchVisionOps, VisionItem, VisionModel, VisionWeights, bind_vision_weights

VECTORS = Path(__file__).parents[2] / "vectors"


def grid(thw: Tensor) -> Grid:
    return Grid(*thw.flatten().tolist())


@pytest.fixture(scope="session")
def vision_config(tiny: Checkpoint) -> VisionConfig:
    assert tiny.config.vision is not None
    return tiny.config.vision


@pytest.fixture(scope="session")
def vision_weights(tiny: Checkpoint, vision_config: VisionConfig) -> VisionWeights:
    return bind_vision_weights(vision_config, tiny.get)


@pytest.fixture(scope="session")
def reference_vision(vision_config: VisionConfig, vision_weights: VisionWeights) -> VisionModel:
    """Plain torch in float32."""
    return VisionModel(vision_config, vision_weights, TorchVisionOps())


@pytest.fixture(scope="session")
def items(expected: dict[str, Tensor]) -> dict[str, VisionItem]:
    """Two pictures, a chunk of four frames and its first three, as the golden run was given them."""
    stored = load_file(VECTORS / "vision" / "patches.safetensors")
    found = {
        name: VisionItem((stored[name] / 255 - 0.5) / 0.5, grid(stored[f"{name}.grid_thw"]))
        for name in ("gradient", "odd")
    }
    frames = expected["video.pixel_values"]
    found["video"] = VisionItem(frames, grid(expected["video.grid_thw"]))
    three = grid(expected["video3.grid_thw"])
    found["video3"] = VisionItem(frames[: three.num_patches], three)
    return found


@pytest.fixture
def random_item() -> VisionItem:
    generator = torch.Generator().manual_seed(7)
    return VisionItem(torch.rand(2 * 18 * 26, 3, 14, 14, generator=generator) * 2 - 1, Grid(2, 18, 26))


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Tiny products on several threads mostly wait for each other where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
