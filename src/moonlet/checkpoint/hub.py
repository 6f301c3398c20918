"""What `--model` may name: a directory, a hub id already on this machine, or nothing (the embedded K25-nano).

The network is used by `pull` alone, so that nobody starts a 595 GB download by asking a question.
"""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path
from typing import NoReturn

from moonlet.errors import CheckpointError, DownloadError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,128})?")

WANTED_FILES = ("*.safetensors", "*.json", "tiktoken.model", "*.jinja", "*.md", "LICENSE*")
"""Weights, facts and vocabulary. Code that comes with a model is never run, so it is not fetched."""


def resolve_model(model: str | Path | None) -> Path:
    """The directory of the model that the user means.

    model: a directory, a hub id `owner/name` or `owner/name@revision` that `pull` has fetched, or None for K25-nano.
    Raises CheckpointError or DownloadError in one line; never touches the network.
    """
    if model is None:
        return _embedded_nano()
    path = Path(model).expanduser()
    if path.exists():
        return path
    text = str(model)
    if not _HUB_ID.fullmatch(text):
        raise CheckpointError(
            f"{text}: no such directory; give a checkpoint's directory or a hub id such as owner/name"
        )
    cached = _cached(text)
    if cached is None:
        raise DownloadError(
            f"{text}: no such directory, and no model of that hub id on this machine; "
            f"fetch it while online with: moonlet pull {text}"
        )
    return cached


def pull(hub_id: str, to: Path | None = None, revision: str | None = None) -> Path:
    """Fetch a model's files from the hub and return their directory. What is already there is kept and resumed.

    to: a directory to put the files in; the shared cache of huggingface_hub if None.
    Raises DownloadError in one line: not a hub id, offline, unknown, gated, or more bytes than the disk has free.
    """
    name, _, pinned = hub_id.partition("@")
    if not _HUB_ID.fullmatch(hub_id):
        raise DownloadError(f"{hub_id!r} is no hub id, expected owner/name such as moonshotai/Kimi-K2.5")
    revision = revision or pinned or None
    from huggingface_hub import HfApi, constants, errors, snapshot_download

    # The HTTP library under the hub client changes with its versions; the name stays.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True)
        destination = to or Path(constants.HF_HUB_CACHE)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if _wanted(file.rfilename)}
        _check_free_disk(name, sizes, destination, None if to is None else to)
        target = snapshot_download(name, revision=info.sha, local_dir=to, allow_patterns=list(WANTED_FILES))
    except (OSError, HTTPError, errors.HFValidationError, errors.XetDownloadError) as cause:
        _explain(hub_id, cause)
    return Path(target)


def _embedded_nano() -> Path:
    # Joined before it becomes a Path: an editable install has two folders behind the package, of which one holds this.
    path = Path(str(resources.files("moonlet") / "assets" / "k25-nano"))
    if not path.is_dir():
        raise CheckpointError("K25-nano is not part of this installation; name a model with --model, or install again")
    return path


def _cached(hub_id: str) -> Path | None:
    """The snapshot of a hub id in the shared cache, if its config.json is there."""
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = hub_id.partition("@")
    found = try_to_load_from_cache(name, "config.json", revision=revision or None)
    return Path(found).parent if isinstance(found, str) else None


def _wanted(file: str) -> bool:
    return any(Path(file).match(pattern) for pattern in WANTED_FILES)


def _check_free_disk(name: str, sizes: dict[str, int], destination: Path, local: Path | None) -> None:
    """Refuse a download that cannot end well. Files already complete in `local` do not count."""
    present = 0
    if local is not None:
        present = sum(
            size for file, size in sizes.items() if (local / file).is_file() and (local / file).stat().st_size == size
        )
    needed = sum(sizes.values()) - present
    existing = next(path for path in (destination.absolute(), *destination.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"{name}: {needed / 1e9:.1f} GB to fetch, {free / 1e9:.1f} GB free at {existing}; "
            "free some space or choose another disk with --to"
        )


def _explain(hub_id: str, cause: Exception) -> NoReturn:
    from huggingface_hub import errors

    if isinstance(cause, DownloadError):
        raise cause
    if isinstance(cause, errors.GatedRepoError):
        reason = "its owner restricts access; accept the terms on its page and run: hf auth login"
    elif isinstance(cause, errors.RevisionNotFoundError):
        reason = "it has no such revision; leave --revision out for the newest"
    elif isinstance(cause, errors.RepositoryNotFoundError):
        reason = "the hub knows no such public model; check the spelling, or run: hf auth login"
    elif isinstance(cause, errors.HFValidationError):
        reason = "not a valid hub id, expected owner/name"
    elif isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, ConnectionError):
        reason = f"cannot be stored ({cause.strerror or cause})"
    else:
        reason = "the hub cannot be reached; check the network and run the same command again, it resumes"
    raise DownloadError(f"{hub_id}: {reason}") from None
