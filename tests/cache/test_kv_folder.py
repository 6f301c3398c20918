"""A folder that may be killed at any moment, and files that may have been anything."""

from __future__ import annotations

import random
import signal
import stat
import subprocess
import sys
import textwrap
import time
from hashlib import blake2b
from pathlib import Path

import pytest

from moonlet.cache.kv_folder import ENVELOPE, MAGIC, NO_PARENT, VERSION, KvFolder
from moonlet.errors import OptionError

HEADER = b"header"
BODY = bytes(range(256)) * 4


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def files(path: Path) -> list[Path]:
    return sorted(found for found in path.iterdir() if found.suffix in (".page", ".reply", ".tmp"))


def folder_with_one(path: Path) -> KvFolder:
    folder = KvFolder(path, 1 << 20)
    assert folder.write(key(1), NO_PARENT, "page", (HEADER, BODY))
    return folder


def test_what_was_written_is_there_after_a_restart_for_the_owner_alone(tmp_path):
    path = tmp_path / "deep" / "kv"
    folder = folder_with_one(path)
    assert folder.write(key(2), key(1), "page", (HEADER, b"second"))
    assert folder.write(key(3), NO_PARENT, "reply", (b"", b"third"))
    folder.close()
    again = KvFolder(path, 1 << 20)
    assert bytes(again.read(key(1), HEADER, len(BODY))) == BODY
    assert bytes(again.read(key(2), HEADER, 100)) == b"second"
    assert bytes(again.read(key(3), b"", 100)) == b"third"
    assert again.read(key(4), b"", 100) is None
    assert (again.num_pages, again.num_refused) == (2, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}


def test_a_folder_serves_one_at_a_time(tmp_path):
    folder = folder_with_one(tmp_path)
    with pytest.raises(OptionError, match="another moonlet is using it"):
        KvFolder(tmp_path, 1 << 20)
    folder.close()
    KvFolder(tmp_path, 1 << 20).close()


def test_a_folder_that_cannot_be_one_is_refused_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match=r"kv_dir .*file: cannot be used"):
        KvFolder(tmp_path / "file", 1 << 20)


@pytest.mark.parametrize("at", [len(MAGIC), ENVELOPE.size, ENVELOPE.size + 10, -1])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_noticed(tmp_path, at, bit):
    folder = folder_with_one(tmp_path)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(content)
    assert folder.read(key(1), HEADER, len(BODY)) is None
    assert folder.num_refused == 1
    # A version is nobody's damage: it may be a later moonlet's.
    assert file.exists() == (at == len(MAGIC))
    assert folder.write(key(1), NO_PARENT, "page", (HEADER, BODY)), "it is made anew"
    assert bytes(folder.read(key(1), HEADER, len(BODY))) == BODY


@pytest.mark.parametrize("size", [0, 3, ENVELOPE.size, ENVELOPE.size + 5, 500, -1])
def test_a_file_cut_short_is_noticed(tmp_path, size):
    folder = folder_with_one(tmp_path)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:size])
    assert folder.read(key(1), HEADER, len(BODY)) is None
    assert key(1) not in folder
    assert file.exists() == (0 <= size < len(MAGIC)), "what does not even say that it is ours is left alone"


def test_a_file_of_another_model_is_left_alone(tmp_path, caplog):
    folder = folder_with_one(tmp_path)
    (file,) = files(tmp_path)
    assert folder.read(key(1), b"other!", len(BODY)) is None
    assert file.name in caplog.text
    assert "another model" in caplog.text
    assert file.exists()


def test_a_file_longer_than_it_can_be_is_not_read_whole(tmp_path):
    folder = folder_with_one(tmp_path)
    (file,) = files(tmp_path)
    with file.open("ab") as opened:
        opened.truncate(1 << 40)
    assert folder.read(key(1), HEADER, len(BODY)) is None


def test_a_link_under_a_name_of_ours_is_not_followed(tmp_path):
    folder_with_one(tmp_path / "kv").close()
    (file,) = files(tmp_path / "kv")
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert key(1) not in KvFolder(tmp_path / "kv", 1 << 20)


def test_files_of_others_are_never_touched_and_leftovers_go(tmp_path):
    folder_with_one(tmp_path).close()
    (file,) = files(tmp_path)
    leftover = file.with_name(file.name + ".tmp")
    leftover.write_bytes(b"half")
    others = [tmp_path / name for name in ("notes.txt", "x.page", "y.tmp")]
    for other in others:
        other.write_text("mine")
    KvFolder(tmp_path, 1).close()
    assert not leftover.exists()
    assert not file.exists(), "one byte of budget holds nothing"
    assert [other.read_text() for other in others] == ["mine"] * 3


def test_a_file_is_given_up_only_after_those_that_continue_it(tmp_path):
    folder = KvFolder(tmp_path, 3 * 4096)
    for number in (1, 2, 3):
        assert folder.write(key(number), key(number - 1), "page", (HEADER, BODY))
    # The oldest is 1, but 3 is the one that none continues; and nothing goes for what continues it.
    assert not folder.write(key(4), key(3), "page", (HEADER, BODY))
    assert folder.write(key(9), NO_PARENT, "page", (HEADER, BODY))
    assert [number for number in (1, 2, 3, 9) if key(number) in folder] == [1, 2, 9]
    assert not folder.write(key(4), key(3), "page", (HEADER, BODY)), "3 is gone: nobody would come upon 4"


def test_the_longest_unused_goes_first_also_after_a_restart(tmp_path):
    folder = KvFolder(tmp_path, 3 * 4096)
    for number in (1, 2, 3):
        folder.write(key(number), NO_PARENT, "page", (HEADER, BODY))
    folder.touch(key(1))
    folder.close()
    again = KvFolder(tmp_path, 3 * 4096)
    again.write(key(4), NO_PARENT, "page", (HEADER, BODY))
    assert [number for number in (1, 2, 3, 4) if key(number) in again] == [1, 3, 4]


def test_the_budget_holds_and_no_file_stands_without_what_it_continues(tmp_path):
    rng = random.Random(3)
    budget = 20 * 4096
    folder = KvFolder(tmp_path, budget)
    parents = {0: NO_PARENT}
    for number in range(1, 300):
        parent = rng.choice(list(parents))
        kept = folder.write(key(number), key(parent), "page", (HEADER, bytes(rng.randrange(9000))))
        if kept:
            parents[number] = key(parent)
        folder.touch(key(rng.randint(1, number)))
        sizes = [-(-file.stat().st_size // 4096) * 4096 for file in files(tmp_path)]
        assert sum(sizes) == folder.num_bytes <= budget
        assert len(sizes) == folder.num_pages
        parents = {one: above for one, above in parents.items() if one == 0 or key(one) in folder}
        assert all(above == NO_PARENT or above in folder for above in parents.values())
    folder.close()
    assert KvFolder(tmp_path, budget // 2).num_bytes <= budget // 2


WRITER = """
import os, signal, sys
from pathlib import Path
from moonlet.cache.kv_folder import NO_PARENT, KvFolder
folder = KvFolder(Path(sys.argv[1]), 64 << 20)
print("open", flush=True)
{before}
parent = NO_PARENT
for number in range(1, 10**6):
    key = number.to_bytes(16, "big")
    folder.write(key, parent, "page", (b"header", key * 20000))
    parent = key
"""


def start_writer(path: Path, before: str = "") -> subprocess.Popen[bytes]:
    code = textwrap.dedent(WRITER).format(before=before)
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"open\n"
    return process


def check_whole(path: Path) -> int:
    folder = KvFolder(path, 64 << 20)
    assert not [file for file in files(path) if file.suffix == ".tmp"]
    for number in range(1, folder.num_pages + 1):
        assert bytes(folder.read(key(number), b"header", 1 << 20)) == key(number) * 20000
    assert folder.num_refused == 0
    folder.close()
    return folder.num_pages


def test_a_kill_between_writing_and_renaming_leaves_the_folder_whole(tmp_path):
    before = "count = iter(range(4)); rename = Path.replace\n"
    before += "Path.replace = lambda *a: rename(*a) if next(count) < 3 else os.kill(os.getpid(), signal.SIGKILL)"
    process = start_writer(tmp_path, before)
    assert process.wait(30) == -signal.SIGKILL
    assert len([file for file in files(tmp_path) if file.suffix == ".tmp"]) == 1
    assert check_whole(tmp_path) == 3


def test_a_kill_at_any_moment_leaves_the_folder_whole(tmp_path):
    process = start_writer(tmp_path)
    while len(files(tmp_path)) < 20:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait(30)
    assert check_whole(tmp_path) >= 19


def test_the_envelope_is_what_the_format_page_says(tmp_path):
    folder_with_one(tmp_path)
    (file,) = files(tmp_path)
    content = file.read_bytes()
    assert content[:16] == MAGIC + VERSION.to_bytes(4, "little") + bytes(4)
    assert content[16:-16] == HEADER + BODY
    assert content[-16:] == blake2b(content[:-16], digest_size=16).digest()
    assert file.name == f"{1:032x}-{0:032x}.page"
