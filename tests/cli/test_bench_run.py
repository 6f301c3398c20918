"""`moonlet bench run` end to end on the tiny preset, alone and against made-up rivals; no time is looked at."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from moonlet.cli import bench_run
from moonlet.cli.main import run
from moonlet.kernels.ceiling import Ceiling

QUICK = ["--contexts", "0,8", "--steps", "2", "--rounds", "2", "--num-threads", "2"]
FAKE_LLAMA = '''
"""Answers as xllamacpp's server does, in no time, and prints as engines do."""
__version__ = "fake"
class Plain: pass
class CommonParams:
    def __init__(self):
        self.model, self.cpuparams, self.cpuparams_batch = Plain(), Plain(), Plain()
class Server:
    def __init__(self, params):
        print("loading", params.model.path, params.cpuparams.n_threads)
        if "refused" in params.model.path:
            raise RuntimeError("cannot load this\\nor that")
    def handle_completions(self, request):
        assert not request["cache_prompt"] and request["ignore_eos"]
        read, wrote = len(request["prompt"]), request["max_tokens"]
        return {"timings": {"prompt_n": read, "prompt_ms": read * 2.0, "predicted_n": wrote,
                            "predicted_ms": (wrote - 1) * 10.0}}
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bench") / "tiny"
    assert run(["bench", "make-checkpoint", "--preset", "tiny", str(target)]) == 0
    return target


@pytest.fixture(autouse=True)
def given_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_run, "measure_ceiling", lambda *_, **__: Ceiling(50e9, 2e12, 1e12))


@pytest.fixture
def fake_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a rival's interpreter looks into first."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def last_line(capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    out = capsys.readouterr().out
    facts: dict[str, Any] = json.loads(out.splitlines()[-1])
    return out, facts


def test_a_model_is_measured_in_several_formats_and_the_result_kept(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = ["--formats", "int4,q4_0,q2_k", "--cache-dir", str(tmp_path / "cache")]
    assert run(["bench", "run", str(tiny), *QUICK, *formats, "--save", "--results", str(tmp_path / "results")]) == 0
    out, facts = last_line(capsys)
    assert out.index("ceilings: 50.0 GB/s read, 2.000 int8 Top/s") < out.index("tiny int4: loaded")
    assert [model["model"] for model in facts["models"]] == ["tiny int4", "tiny q4_0", "tiny q2_k"]
    assert facts["ceiling"] == {"read_bytes_per_s": 50e9, "int8_ops_per_s": 2e12, "float_ops_per_s": 1e12}
    for model in facts["models"]:
        assert [row["context"] for row in model["rows"]] == [0, 8]
        for row in model["rows"]:
            traffic = model["traffic"]
            read = traffic["routed_experts"] + traffic["other_weights"] + row["context"] * traffic["cache_per_token"]
            assert row["decode_limit"] == pytest.approx(50e9 / read)
            assert row["decode_share"] == pytest.approx(row["decode"]["median"] / row["decode_limit"])
        assert model["rows"][0]["prefill"] is None
        assert model["rows"][1]["prefill_share_of_int8"] > 0
    made = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert [name.rsplit("-", 2)[1] for name in made] == ["q2_k", "q4_0"]
    (kept,) = (tmp_path / "results").iterdir()
    assert json.loads(kept.read_text()) == [facts]


def test_a_format_that_cannot_be_made_is_skipped_with_a_line(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "cache"
    blocked.touch()
    assert run(["bench", "run", str(tiny), *QUICK, "--formats", "q4_0,int4", "--cache-dir", str(blocked)]) == 0
    out, facts = last_line(capsys)
    assert "tiny q4_0: skipped: " in out
    assert [model["model"] for model in facts["models"]] == ["tiny int4"]


def test_a_rival_takes_turns_and_ratios_are_ours_over_its(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fake_packages: Path
) -> None:
    (fake_packages / "xllamacpp.py").write_text(FAKE_LLAMA)
    formats = ["--formats", "int4,q4_0", "--cache-dir", str(tmp_path / "cache")]
    arguments = [*QUICK, *formats, "--rival", "llama.cpp", "--rival-python", sys.executable]
    assert run(["bench", "run", str(tiny), *arguments]) == 0
    out, facts = last_line(capsys)
    assert out.startswith("rival: llama.cpp (xllamacpp fake)\n")
    assert "tiny int4: llama.cpp does not read this form, measured alone" in out
    alone, raced = facts["models"]
    assert alone["rival"] is None
    assert raced["rival"]["name"] == "llama.cpp (xllamacpp fake)"
    row = raced["rows"][1]
    assert row["rival"]["prefill"] == {"low": 500.0, "median": 500.0, "high": 500.0}
    assert row["rival"]["decode"] == {"low": 100.0, "median": 100.0, "high": 100.0}
    assert row["prefill_ratio"] == pytest.approx(row["prefill"]["median"] / 500)
    assert row["decode_ratio"] == pytest.approx(row["decode"]["median"] / 100)


@pytest.mark.parametrize(
    ("rival", "module", "install"),
    [
        ("kt-kernel", "kt_kernel", "pip install kt-kernel"),
        ("transformers", "transformers", "pip install transformers"),
    ],
)
def test_an_absent_rival_is_one_line_with_how_to_install_it(
    tiny: Path, capsys: pytest.CaptureFixture[str], fake_packages: Path, rival: str, module: str, install: str
) -> None:
    (fake_packages / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module named {module}')")
    assert run(["bench", "run", str(tiny), *QUICK, "--rival", rival]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"rival {rival} needs" in captured.err
    assert install in captured.err


def test_what_a_rival_says_against_a_file_is_passed_on(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fake_packages: Path
) -> None:
    (fake_packages / "xllamacpp.py").write_text(FAKE_LLAMA)
    target = tmp_path / "refused.gguf"
    assert run(["convert", str(tiny), str(target), "--to", "q4_0"]) == 0
    assert run(["bench", "run", str(target), *QUICK, "--rival", "llama.cpp"]) == 2
    assert "rival llama.cpp: RuntimeError: cannot load this\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rival", "llama.cpp"], "rival llama.cpp reads none of the models given, expected a .gguf file"),
        (["--device", "cuda"], "device is 'cuda', expected 'cpu'"),
        (["--contexts", "1,x"], "expected whole numbers such as 0,512,4096"),
        (["--formats", "q9"], "found 'q9', expected some of int4, "),
        (["--contexts", "9999999"], "expected room for a context"),
        (["--rival", "kt-kernel", "--rival-python", "/nowhere/python"], "cannot be started"),
    ],
)
def test_impossible_wishes_are_one_line(
    tiny: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["bench", "run", str(tiny), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_gguf_file_is_not_measured_in_other_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "run", "some.gguf", "--formats", "q4_0"]) == 2
    assert "--formats needs a published checkpoint, found a GGUF file" in capsys.readouterr().err
