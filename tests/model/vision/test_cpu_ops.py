"""The tower on CPU cores: near the reference, and with the same bits for any company and number of threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from moonlet.kernels import Runtime
from moonlet.kernels.patch_attention import patch_attention_reference
from moonlet.model.vision import CpuVisionOps, VisionItem, VisionModel
from tests.kernels.compare import assert_close

# Of the largest feature; BF16 keeps 8 bits, and transformers' own BF16 run of these vectors is off by 0.024.
TOLERANCES = ((torch.float32, 2e-5), (torch.bfloat16, 0.02))


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_features_are_near_the_golden_ones(
    reference_vision: VisionModel,
    items: dict[str, VisionItem],
    expected: dict[str, Tensor],
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    model = replace(reference_vision, ops=CpuVisionOps(Runtime(2), dtype))
    for name, vector in (("gradient", "image"), ("video", "video"), ("video3", "video3")):
        assert_close(model.encode([items[name]])[0], expected[f"{vector}.vision_features"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_bits_depend_neither_on_threads_nor_on_company(
    reference_vision: VisionModel,
    items: dict[str, VisionItem],
    random_item: VisionItem,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    one, two, three = (replace(reference_vision, ops=CpuVisionOps(Runtime(n), dtype)) for n in (1, 2, 3))
    alone = one.encode([random_item])[0]
    # Several pieces of rows and of queries, the last of each a short one.
    assert random_item.grid.num_patches == 936
    assert torch.equal(alone, two.encode([random_item])[0])
    assert torch.equal(alone, three.encode([items["odd"], items["video"], random_item])[2])
    assert_close(alone, reference_vision.encode([random_item])[0], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("num_patches", [4, 127, 130])
def test_attention_is_a_softmax_over_all_patches(num_patches: int, dtype: torch.dtype, tolerance: float) -> None:
    qkv = torch.randn(num_patches, 3, 3, 20, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = CpuVisionOps(Runtime(2), dtype).attend(qkv)
    assert_close(found.float(), patch_attention_reference(qkv), tolerance)


def test_torch_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    CpuVisionOps(Runtime(2), torch.float32).rows(lambda rows: rows + 1, torch.zeros(600, 2))
    assert torch.get_num_threads() == before
