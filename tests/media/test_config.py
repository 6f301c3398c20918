"""preprocessor_config.json: what it holds, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moonlet.errors import ConfigError
from moonlet.media.config import FILE_NAME, MediaProcessorConfig, load_media_config

TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"


def test_the_published_file_holds_the_defaults(tmp_path):
    assert load_media_config(TINY) == MediaProcessorConfig()
    assert load_media_config(tmp_path) == MediaProcessorConfig(), "a checkpoint without the file"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("in_patch_limit", "many", "media_proc_cfg.in_patch_limit is 'many', expected an integer"),
        ("in_patch_limit", 1, "media_proc_cfg.in_patch_limit is 1, expected a value from 4"),
        ("patch_limit_on_one_side", 600, "patch_limit_on_one_side is 600, expected a value from 2 to 512"),
        ("merge_kernel_size", 3, "merge_kernel_size is 3"),
        ("temporal_merge_kernel_size", 8, "temporal_merge_kernel_size is 8, expected a value from 1 to 4"),
        ("image_mean", [0.5, 0.5], "image_mean must be three numbers"),
        ("image_std", [0.5, 0.5, 0], "image_std is 0.0, expected a positive number"),
        ("fixed_output_tokens", 64, "fixed_output_tokens is 64, expected null"),
        ("timestamp_mode", "ss", "timestamp_mode 'ss' is not supported"),
        ("sample_fps", 0, "sample_fps is 0.0, expected a positive number"),
    ],
)
def test_a_value_that_cannot_be_obeyed_is_named(tmp_path, key, value, expected):
    values = json.loads((TINY / FILE_NAME).read_text())
    values["media_proc_cfg"][key] = value
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    with pytest.raises(ConfigError) as caught:
        load_media_config(tmp_path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(FILE_NAME)
