"""Files made for timing have the layout of real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moonlet.checkpoint.gguf import GgufCheckpoint, open_gguf
from moonlet.cli.main import run
from moonlet.errors import OptionError
from moonlet.evals.speed.variants import write_variant
from moonlet.formats.gguf import block_type


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> GgufCheckpoint:
    folder = tmp_path_factory.mktemp("variants")
    assert run(["bench", "make-checkpoint", "--preset", "tiny", str(folder / "tiny")]) == 0
    target = folder / "tiny.gguf"
    assert run(["convert", str(folder / "tiny"), str(target), "--to", "q4_0"]) == 0
    return open_gguf(target)


@pytest.mark.parametrize("name", ["Q4_K", "TQ1_0", "IQ4_NL"])
def test_a_variant_opens_with_experts_of_its_type_and_the_rest_unchanged(
    base: GgufCheckpoint, tmp_path: Path, name: str
) -> None:
    kind = block_type(name)
    write_variant(base, tmp_path / "variant.gguf", kind)
    made = open_gguf(tmp_path / "variant.gguf")
    assert made.config.text == base.config.text
    assert made.stored_names == base.stored_names
    for tensor in base.stored_names:
        was, now = base.stored(tensor), made.stored(tensor)
        assert now.shape == was.shape
        if tensor.endswith("_exps.weight"):
            assert now.kind is kind
            assert now.rows[0].equal(now.rows[-1])
        else:
            assert now.rows.equal(was.rows)


def test_experts_that_are_not_whole_blocks_are_refused(base: GgufCheckpoint, tmp_path: Path) -> None:
    wide = replace(block_type("Q4_K"), block_weights=768)
    with pytest.raises(OptionError, match="expected a multiple of 768"):
        write_variant(base, tmp_path / "variant.gguf", wide)
    assert not (tmp_path / "variant.gguf").exists()
