"""A program that is killed at any moment, again and again over the same folder: what is read is what was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIVES = 15

# A process of its own, which makes the lives: it can fork, since it has no threads but for those of a tier it closed.
MAKER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from moonlet.cache import NO_PARENT, PAGE_SIZE, DiskTier, KvFolder, LatentPages, PrefixTree

path, num_lives = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(4)
BUDGET = 60 * 12288  # some 60 pages, so that files go for room all the time

def chains():
    # The same ones in every life: fifteen beginnings, each of which goes on.
    for start in range(15):
        yield start, [tuple(range(100 * start + page, 100 * start + page + PAGE_SIZE)) for page in range(8)]

def rows_of(ids):
    return torch.arange(4 * PAGE_SIZE * 8, dtype=torch.float32).view(4, PAGE_SIZE, 8) + sum(ids)

def live():
    tier, latents = DiskTier(KvFolder(path, BUDGET), bytes(16)), LatentPages(4, 256, 8, torch.float32)
    tree = PrefixTree()
    tree.root.key = NO_PARENT
    print("writing", flush=True)
    while True:
        for start, pages in random.sample(list(chains()), 15):
            node = tree.root
            for ids in pages:
                if tree.num_pages == 256:
                    tree.clear()
                    break
                page = tree.num_pages
                latents._latents[:, page] = rows_of(ids)
                node = tree.insert(node, ids, page)
                node.key = tier.key(node.parent.key, ids)
                tier.add(latents, node)
            tier.save(latents, node)
            tier.save_reply(str(start).encode(), pages[0])
            tier.save_arguments(str(start).encode(), "{}" * start)
            time.sleep(0.001)

def check():
    tier, latents = DiskTier(KvFolder(path, BUDGET), bytes(16)), LatentPages(4, 1, 8, torch.float32)
    assert not list(path.glob("*.tmp"))
    found = 0
    for start, pages in chains():
        parent, is_missing = NO_PARENT, False
        for ids in pages:
            key = tier.key(parent, ids)
            if tier.has(key):
                assert not is_missing, "a page stands without the one before it"
                assert tier.load(latents, 0, key, parent, ids)
                assert torch.equal(latents._latents[:, 0], rows_of(ids))
                found += 1
            else:
                is_missing = True
            parent = key
        assert tier.load_reply(str(start).encode(), 1000) in (None, pages[0])
        assert tier.load_arguments(str(start).encode(), 1000) in (None, "{}" * start)
    stats = tier.stats()
    assert (stats.num_refused, stats.num_pages) == (0, found), stats
    assert sum(-(-file.stat().st_size // 4096) * 4096 for file in path.iterdir()) <= BUDGET
    tier.close()
    return found

counts = []
for life in range(num_lives):
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(tells, 1)
        live()
    os.read(told, 1)
    time.sleep(rng.random() ** 2 * 0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    checker = os.fork()
    if checker == 0:
        try:
            found = check()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(255)
        os._exit(min(found, 254))
    _, status = os.waitpid(checker, 0)
    counts.append(os.waitstatus_to_exitcode(status))
print(*counts)
"""


def test_a_tier_that_is_killed_at_random_moments_holds_only_what_is_right(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", MAKER, str(tmp_path / "kv"), str(LIVES)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    counts = [int(count) for count in done.stdout.split()]
    assert len(counts) == LIVES
    assert 255 not in counts, done.stderr
    assert max(counts) > 20, "kills came after pages were there"
