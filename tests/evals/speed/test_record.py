"""Results are one line of JSON, kept in a file per machine and day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moonlet.errors import OptionError
from moonlet.evals.speed import json_line, machine_name, save_record
from moonlet.evals.speed.memory import peak_resident_bytes


def test_runs_of_one_machine_and_day_share_a_file(tmp_path: Path) -> None:
    line = json_line("run", {"rows": [1, 2]})
    first = save_record(tmp_path / "results", line)
    assert save_record(tmp_path / "results", line) == first
    runs = json.loads(first.read_text())
    assert [run["rows"] for run in runs] == [[1, 2], [1, 2]]
    assert first.name.endswith(f"-{runs[0]['date']}.json")
    assert set(runs[0]) == {"bench", "machine", "revision", "date", "rows"}


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    line = json_line("run", {})
    path = save_record(tmp_path, line)
    path.write_text("{}")
    with pytest.raises(OptionError, match="expected an array of runs"):
        save_record(tmp_path, line)
    assert path.read_text() == "{}"


def test_the_machine_has_a_name_even_where_nothing_tells(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A fast one\n")
    assert machine_name(tmp_path / "cpuinfo") == "A fast one"
    assert machine_name(tmp_path / "absent")


def test_peak_memory_is_unknown_where_nothing_tells(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmPeak:\t  900 kB\nVmHWM:\t    12 kB\n")
    assert peak_resident_bytes(tmp_path) == 12 * 1024
    assert peak_resident_bytes(tmp_path / "absent") is None
