"""How much memory this process may still take: the machine's, or less where a control group limits it."""

from __future__ import annotations

from pathlib import Path

from moonlet.errors import OptionError

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as a huge number."""


def available_device_bytes(device: str) -> int:
    """Bytes that can be taken where attention and the cache live: device "cpu" or "cuda".

    Raises OptionError for "cuda" where torch sees no GPU.
    """
    if device == "cpu":
        return available_memory_bytes()
    import torch

    if not torch.cuda.is_available():
        raise OptionError("device is 'cuda', but torch sees no CUDA GPU on this machine; use --device cpu")
    free_bytes, _ = torch.cuda.mem_get_info()
    return int(free_bytes)


def available_memory_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Bytes that can be taken without swapping; file cache counts as free, since the kernel gives it up.

    proc, cgroup: where the two file systems are mounted.
    """
    return min(_meminfo(proc, "MemAvailable"), *_group_rooms(proc, cgroup))


def total_memory_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Bytes of memory this process could ever have."""
    return min(_meminfo(proc, "MemTotal"), *(limit for limit, _ in _group_limits(proc, cgroup)), _UNLIMITED)


def _meminfo(proc: Path, key: str) -> int:
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    raise AssertionError(f"{key} is missing from {proc / 'meminfo'}")


def _group_rooms(proc: Path, cgroup: Path) -> list[int]:
    rooms = [max(0, limit - used) for limit, used in _group_limits(proc, cgroup)]
    return [*rooms, _UNLIMITED]


def _group_limits(proc: Path, cgroup: Path) -> list[tuple[int, int]]:
    """(limit, bytes used and not reclaimable) of every group this process is in, from its own up to the root."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[int, int]] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit_name, used_name = cgroup, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit_name, used_name = cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        # Inside a container the path may be the host's; the mounted root is then the group itself.
        while True:
            limit, used = _number(group / limit_name), _number(group / used_name)
            if limit is not None and used is not None and limit < _UNLIMITED:
                found.append((limit, max(0, used - _file_cache(group))))
            if group == root or root not in group.parents:
                break
            group = group.parent
    return found


def _file_cache(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split(" ", 1) for line in lines if " " in line)
    # Version 1 counts children under the total_ names, version 2 always.
    prefix = "total_" if "total_inactive_file" in values else ""
    return sum(int(values.get(f"{prefix}{name}", "0")) for name in ("inactive_file", "active_file"))


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
