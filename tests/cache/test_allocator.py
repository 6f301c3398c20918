import random

import pytest

from moonlet.cache import OutOfPagesError, PageAllocator


def test_pages_are_distinct_and_counted():
    allocator = PageAllocator(8)
    first, second = allocator.allocate(3), allocator.allocate(5)
    assert sorted(first + second) == list(range(8))
    assert allocator.available == 0
    allocator.free(first)
    assert (allocator.available, allocator.num_held) == (3, 5)


def test_allocation_is_all_or_nothing():
    allocator = PageAllocator(4)
    allocator.allocate(3)
    with pytest.raises(OutOfPagesError, match="2 cache pages wanted, 1 of 4 are free"):
        allocator.allocate(2)
    assert allocator.available == 1
    allocator.check()


@pytest.mark.parametrize("pages", [[0, 0], [7], [-1], [100]])
def test_freeing_what_is_not_held_is_refused_and_changes_nothing(pages):
    allocator = PageAllocator(8)
    allocator.allocate(2)
    with pytest.raises(AssertionError):
        allocator.free(pages)
    assert allocator.num_held == 2
    allocator.check()


def test_books_agree_after_random_operations():
    rng = random.Random(5)
    allocator = PageAllocator(50)
    held: list[list[int]] = []
    for _ in range(2000):
        count = rng.randrange(12)
        if rng.random() < 0.5 and allocator.can_allocate(count):
            held.append(allocator.allocate(count))
        elif held:
            allocator.free(held.pop(rng.randrange(len(held))))
        allocator.check()
        assert allocator.available + sum(map(len, held)) == 50
    flat = [page for pages in held for page in pages]
    assert len(flat) == len(set(flat))
