"""The memory plan, and the machine it is made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.checkpoint.presets import mid
from moonlet.config import EngineOptions
from moonlet.errors import OutOfMemoryError
from moonlet.model.cost import kv_bytes_per_token, weight_bytes
from moonlet.model.machine import available_memory_bytes, total_memory_bytes
from moonlet.model.memory import MemoryPlan, plan_memory

GB = 10**9


def plan(available_bytes: int, **options: object) -> MemoryPlan:
    return plan_memory(mid(), EngineOptions(**options), available_bytes)  # type: ignore[arg-type]


def test_where_everything_fits_the_context_is_the_models_own() -> None:
    found = plan(64 * GB)
    assert found.experts_fit
    assert found.context_length == mid().text.max_position_embeddings
    assert found.expert_bytes == weight_bytes(mid()).routed_experts
    assert found.required_bytes + found.expert_room_bytes == 64 * GB


def test_where_experts_do_not_fit_they_keep_most_of_the_memory() -> None:
    found = plan(3 * GB)
    assert not found.experts_fit
    assert 64 <= found.context_length < mid().text.max_position_embeddings
    assert found.context_length % 64 == 0
    assert found.expert_room_bytes > 6 * found.kv_bytes


def test_a_context_asked_for_is_kept_up_to_the_models_limit() -> None:
    assert plan(64 * GB, context_length=1000).context_length == 1000
    assert plan(64 * GB, context_length=10**9).context_length == 262_144


def test_non_expert_weights_that_do_not_fit_are_refused_with_numbers() -> None:
    with pytest.raises(OutOfMemoryError, match=r"need 0\.\d GB, 0\.1 GB available; use a machine with more memory"):
        plan(GB // 10)


def test_int8_is_advised_where_it_would_fit() -> None:
    needed = weight_bytes(mid()).non_expert
    with pytest.raises(OutOfMemoryError, match=r"--dense int8 needs 0\.\d GB"):
        plan(needed)
    assert plan(needed, dense="int8").non_expert_bytes < 0.7 * needed


def test_a_context_that_does_not_fit_says_what_would() -> None:
    needed = plan(64 * GB, context_length=1).required_bytes
    room = 6400 * kv_bytes_per_token(mid())
    with pytest.raises(OutOfMemoryError, match=r"context_length 100,000 needs .* at most 6,400 tokens fit"):
        plan(needed + room, context_length=100_000)


def test_the_reference_path_caches_wider_values() -> None:
    assert plan(64 * GB, reference=True).kv_bytes_per_token == 2 * plan(64 * GB).kv_bytes_per_token


def machine(root: Path, cgroup_line: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A made-up /proc with 16 GiB of memory, 8 available, and a made-up /sys/fs/cgroup."""
    proc, cgroup = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n")
    (proc / "self" / "cgroup").write_text(cgroup_line)
    for name, text in files.items():
        (cgroup / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroup / name).write_text(text)
    return proc, cgroup


def test_without_limits_the_machine_decides(tmp_path: Path) -> None:
    proc, cgroup = machine(tmp_path, "0::/user\n", {"user/memory.max": "max\n", "user/memory.current": "5\n"})
    assert available_memory_bytes(proc, cgroup) == 8 << 30
    assert total_memory_bytes(proc, cgroup) == 16 << 30


def test_a_parent_groups_limit_counts_and_its_file_cache_is_free(tmp_path: Path) -> None:
    files = {
        "a/memory.max": f"{4 << 30}\n",
        "a/memory.current": f"{3 << 30}\n",
        "a/memory.stat": f"anon {1 << 30}\ninactive_file {1 << 30}\nactive_file {1 << 30}\n",
        "a/b/memory.max": "max\n",
        "a/b/memory.current": "1\n",
    }
    proc, cgroup = machine(tmp_path, "0::/a/b\n", files)
    assert available_memory_bytes(proc, cgroup) == 3 << 30
    assert total_memory_bytes(proc, cgroup) == 4 << 30


def test_version_1_groups_are_understood(tmp_path: Path) -> None:
    files = {
        "memory/box/memory.limit_in_bytes": f"{2 << 30}\n",
        "memory/box/memory.usage_in_bytes": f"{1 << 30}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "7\n",
    }
    proc, cgroup = machine(tmp_path, "4:memory:/box\n3:cpuset:/\n", files)
    assert available_memory_bytes(proc, cgroup) == 1 << 30
    assert total_memory_bytes(proc, cgroup) == 2 << 30


def test_a_container_that_sees_only_its_own_group_finds_the_limit(tmp_path: Path) -> None:
    files = {"memory.max": f"{1 << 30}\n", "memory.current": "0\n"}
    proc, cgroup = machine(tmp_path, "0::/host/path/unseen\n", files)
    assert available_memory_bytes(proc, cgroup) == 1 << 30
