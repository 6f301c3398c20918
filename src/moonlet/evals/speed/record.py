"""What a benchmark leaves behind: who measured, on what, one line of JSON, and a file per machine and day."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from moonlet import __version__
from moonlet.errors import OptionError


def machine_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name, or its architecture where the system does not tell."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def revision() -> str:
    """The commit measured, marked where the tree differs from it; the version where this file is in no repository."""
    here = Path(__file__)
    tracked = _git("ls-files", "--error-unmatch", here.name)
    return (tracked and _git("describe", "--always", "--dirty")) or __version__


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def json_line(bench: str, facts: Mapping[str, object]) -> str:
    """The last line of a benchmark: everything measured, for programs."""
    about = {"bench": bench, "machine": machine_name(), "revision": revision(), "date": date.today().isoformat()}
    return json.dumps({**about, **facts})


def save_record(directory: Path, line: str) -> Path:
    """Add a line made by `json_line` to the file of this machine and day, a JSON array of runs; return the file.

    Raises OptionError if it cannot be written or holds something else.
    """
    run = json.loads(line)
    machine = re.sub(r"[^a-z0-9]+", "-", str(run["machine"]).lower()).strip("-")
    path = directory / f"{machine}-{run['date']}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        runs = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(runs, list):
            raise OptionError(f"{path}: found {type(runs).__name__}, expected an array of runs; move the file away")
        path.write_text(json.dumps([*runs, run], indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as cause:
        raise OptionError(f"{path}: results cannot be kept there ({cause})") from None
    return path
