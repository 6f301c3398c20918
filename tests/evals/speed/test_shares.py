"""Shares follow from a given ceiling by arithmetic alone, and traffic from the bytes of the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.checkpoint import open_checkpoint
from moonlet.checkpoint.gguf import open_gguf
from moonlet.cli.main import run
from moonlet.evals.speed import Spread, decode_share, decode_tokens_per_s, prefill_share, token_traffic
from moonlet.kernels.ceiling import Ceiling
from moonlet.model.cost import decode_traffic

CEILING = Ceiling(read_bytes_per_s=50e9, int8_ops_per_s=2e12, float_ops_per_s=1e12)


def test_decode_is_a_share_of_reading_every_byte_once() -> None:
    assert decode_tokens_per_s(CEILING, 500_000_000) == pytest.approx(100.0)
    assert decode_share(CEILING, 500_000_000, 75.0) == pytest.approx(0.75)


def test_prefill_is_a_share_of_the_int8_peak() -> None:
    assert prefill_share(CEILING, 10**12, 2.0) == pytest.approx(0.25)


def test_a_spread_has_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("speed") / "tiny"
    assert run(["bench", "make-checkpoint", "--preset", "tiny", str(target)]) == 0
    return target


def test_a_published_checkpoint_reads_what_its_cost_says(tiny: Path) -> None:
    checkpoint = open_checkpoint(tiny)
    for dense in ("bf16", "int8"):
        traffic = token_traffic(checkpoint, dense)
        assert traffic.at(0) == decode_traffic(checkpoint.config, 0, dense).total
        assert traffic.at(1000) == decode_traffic(checkpoint.config, 1000, dense).total


def test_a_gguf_file_reads_its_own_bytes_but_for_resting_experts_and_embeddings(tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny.gguf"
    assert run(["convert", str(tiny), str(target), "--to", "q4_0", "--non-experts", "q8_0"]) == 0
    checkpoint = open_gguf(target)
    text = checkpoint.config.text
    traffic = token_traffic(checkpoint)
    share = text.num_experts_per_tok / text.n_routed_experts
    embedding = checkpoint.stored("token_embd.weight").num_bytes
    assert traffic.routed_experts == checkpoint.expert_bytes * share
    rest = checkpoint.num_bytes - checkpoint.expert_bytes - embedding
    assert traffic.other_weights == rest + embedding // text.vocab_size
    assert traffic.at(10) - traffic.at(0) == 10 * text.num_hidden_layers * text.latent_width * 2
