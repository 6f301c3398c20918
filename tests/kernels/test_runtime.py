from __future__ import annotations

import logging
import re

import pytest

from moonlet.errors import OptionError
from moonlet.kernels import Runtime


def test_auto_is_the_highest_supported_level() -> None:
    rt = Runtime(num_threads=1)
    assert rt.isa == rt.supported_isas[-1]
    assert rt.supported_isas[0] == "scalar"


def test_every_supported_level_can_be_asked_for(rt: Runtime) -> None:
    assert rt.isa in rt.supported_isas
    assert rt.num_threads == 2


def test_an_unknown_level_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="isa neon: no such level; expected auto, or one of: scalar"):
        Runtime(num_threads=1, isa="neon")


@pytest.mark.parametrize("isa", ["avx2", "avx512", "avx512bf16"])
def test_a_level_the_machine_lacks_is_refused_by_name(isa: str) -> None:
    if isa in Runtime(num_threads=1).supported_isas:
        pytest.skip(f"this machine has {isa}")
    with pytest.raises(OptionError, match=f"isa {isa}: this machine does not have it"):
        Runtime(num_threads=1, isa=isa)


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(OptionError, match=re.escape("num_threads 0: expected at least 1")):
        Runtime(num_threads=0)


def test_threads_and_level_are_logged_once_at_creation(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="moonlet.kernels"):
        Runtime(num_threads=2, isa="scalar")
    assert [record.getMessage() for record in caplog.records] == [
        f"kernels: 2 threads, scalar (asked for; this machine has {', '.join(Runtime(1).supported_isas)})"
    ]


def test_runtimes_can_come_and_go() -> None:
    for _ in range(50):
        Runtime(num_threads=3)
