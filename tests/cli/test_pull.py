"""`moonlet pull`: every way it can fail is one line. No test touches the network."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from moonlet.checkpoint.hub import pull, resolve_model
from moonlet.cli.main import run
from moonlet.errors import DownloadError

# The hub's client is built on httpx or on httpx2, depending on its version.
httpx = importlib.import_module(errors.HTTPError.__module__.partition(".")[0])


def model_info(files: dict[str, int]) -> Any:
    """What the hub would say of a model with these files."""
    siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in files.items()]
    return lambda *_, **__: SimpleNamespace(sha="0" * 40, siblings=siblings)


def hub_error(kind: type[Exception], status: int) -> Exception:
    request = httpx.Request("GET", "https://hub.test")
    return kind("refused", response=httpx.Response(status, request=request))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (errors.OfflineModeIsEnabled("offline"), "the hub cannot be reached"),
        (httpx.ConnectError("no route"), "the hub cannot be reached"),
        (ConnectionError("reset"), "the hub cannot be reached"),
        (hub_error(errors.GatedRepoError, 403), "its owner restricts access"),
        (hub_error(errors.RepositoryNotFoundError, 404), "the hub knows no such public model"),
        (hub_error(errors.RevisionNotFoundError, 404), "it has no such revision"),
        (hub_error(errors.HfHubHTTPError, 503), "the hub cannot be reached"),
        (OSError(28, "No space left on device"), "cannot be stored (No space left on device)"),
    ],
)
def test_each_failure_is_one_line_and_code_2(
    cause: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise cause

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    assert run(["pull", "moonshotai/Kimi-K2.5"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"moonlet: error: moonshotai/Kimi-K2.5: {said}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("hub_id", ["kimi", "../../etc", "a/b/c", "", "a b/c", "https://hub.test/a/b"])
def test_what_is_no_hub_id_is_refused_before_any_request(hub_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "--", hub_id]) == 2
    assert "is no hub id, expected owner/name" in capsys.readouterr().err


def test_a_model_larger_than_the_disk_is_refused_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info({"model.safetensors": 10**16}))
    with pytest.raises(DownloadError, match=r"10000000\.0 GB to fetch, .* GB free at .*; free some space"):
        pull("a/b", to=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_files_already_there_need_no_room_and_code_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(options["local_dir"])

    (tmp_path / "model.safetensors").write_bytes(b"1234")
    files = {"model.safetensors": 4, "modeling_kimi.py": 10**16}
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info(files))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert pull("a/b@v1", to=tmp_path) == tmp_path
    assert asked["name"] == "a/b"
    assert asked["revision"] == "0" * 40
    assert not any(pattern.endswith(".py") for pattern in asked["allow_patterns"])


def test_a_fetched_model_is_found_by_its_id_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "1" * 40
    snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    assert resolve_model("owner/name") == snapshot
    assert resolve_model(f"owner/name@{commit}") == snapshot
    with pytest.raises(DownloadError, match="fetch it while online"):
        resolve_model("owner/other")
