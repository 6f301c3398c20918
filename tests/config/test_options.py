"""Options are checked where they are made."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from moonlet.config import EngineOptions
from moonlet.errors import OptionError


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("device", "tpu", "device is 'tpu', expected one of cpu, cuda"),
        ("isa", "neon", "expected one of auto, scalar, avx2, avx512, avx512bf16"),
        ("activations", "fp8", "expected one of int8, bf16"),
        ("dense", None, "expected one of bf16, int8"),
        ("attention", "flash", "expected one of absorbed, expanded"),
        ("num_threads", 0, "num_threads is 0, expected a value from 1 to 4096"),
        ("num_threads", 1.5, "expected a value of type int"),
        ("num_threads", True, "expected a value of type int"),
        ("chunk_size", -1, "chunk_size is -1"),
        ("context_length", 0, "context_length is 0"),
        ("reference", 1, "expected a value of type bool"),
    ],
)
def test_a_value_outside_its_declaration_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        EngineOptions(**{name: value})


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(OptionError, match="reference is set with device 'cuda'"):
        EngineOptions(reference=True, device="cuda")


def test_every_option_has_help() -> None:
    assert all(item.metadata["help"].endswith(".") for item in fields(EngineOptions))
