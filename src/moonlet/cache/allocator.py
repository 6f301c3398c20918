"""Which pages are free and which are held.

    free + held = num_pages, and no page is both: checked on every call in O(pages moved), and in full by `check()`.

A page has one holder. Nothing here knows sequences: who allocates must free.
"""

from __future__ import annotations

from collections.abc import Iterable

from moonlet.errors import MoonletError


class OutOfPagesError(MoonletError):
    """More pages were asked for than are free; nothing was allocated."""


class PageAllocator:
    """Hands out page indices 0 .. num_pages - 1."""

    def __init__(self, num_pages: int) -> None:
        assert num_pages > 0
        self.num_pages = num_pages
        # A stack: the page freed last is handed out first, while it is still warm in the processor's cache.
        self._free = list(range(num_pages - 1, -1, -1))
        self._is_held = bytearray(num_pages)

    @property
    def available(self) -> int:
        """Pages that can be allocated now."""
        return len(self._free)

    @property
    def num_held(self) -> int:
        return self.num_pages - len(self._free)

    def can_allocate(self, count: int) -> bool:
        return count <= len(self._free)

    def allocate(self, count: int) -> list[int]:
        """Take `count` pages. All or nothing: raises OutOfPagesError if fewer are free."""
        assert count >= 0
        if not self.can_allocate(count):
            raise OutOfPagesError(f"{count} cache pages wanted, {self.available} of {self.num_pages} are free")
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            assert not self._is_held[page], f"page {page} was handed out twice"
            self._is_held[page] = 1
        return pages

    def free(self, pages: Iterable[int]) -> None:
        """Give pages back. Freeing a page that is not held is a mistake of the program and changes nothing."""
        returned = list(pages)
        assert len(set(returned)) == len(returned), "a page is freed twice in one call"
        for page in returned:
            assert 0 <= page < self.num_pages, f"page {page} does not exist, there are {self.num_pages}"
            assert self._is_held[page], f"page {page} is freed but not held"
        for page in returned:
            self._is_held[page] = 0
        self._free.extend(reversed(returned))

    def check(self) -> None:
        """Compare the two books: every page is either on the free list, once, or held."""
        assert len(set(self._free)) == len(self._free), "a page is on the free list twice"
        assert not any(self._is_held[page] for page in self._free), "a page is both free and held"
        assert len(self._free) + sum(self._is_held) == self.num_pages, "a page is neither free nor held"
