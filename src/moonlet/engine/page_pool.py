"""One pool of cache pages for all sequences: who holds which, what is kept, what is found again.

    find_prefix -> (load_prefix) -> (copy_tail) -> reserve, pass, commit, reserve, pass, commit ... -> release

A page is free, or a sequence's own, or in the prefix tree. A full page goes into the tree as soon as it is computed, so
that a request which begins alike finds it while the first one still runs, and to the disk where there is a folder for
that: from there it comes back when the tree has given it up, or the program was started anew. Reuse changes no bits on
the CPU kernels: a latent is the same whichever chunk or step computed it.
"""

from __future__ import annotations

import time

from moonlet.cache import (
    NO_PARENT,
    PAGE_SIZE,
    DiskTier,
    LatentPages,
    PageAllocator,
    PageNode,
    PrefixTree,
    pages_for,
)
from moonlet.engine.sequence import Sequence


class PagePool:
    """The pages of one `LatentPages`. Used by one thread."""

    def __init__(self, latents: LatentPages, disk: DiskTier | None = None) -> None:
        """disk: keeps full pages beyond the memory and this run; nothing is kept if None."""
        self.latents = latents
        self.disk = disk
        self.allocator = PageAllocator(latents.num_pages)
        self.tree = PrefixTree()
        self.tree.root.key = NO_PARENT

    @property
    def num_available(self) -> int:
        """Pages that `reserve` can hand out, kept prefixes given up."""
        return self.allocator.available + self.tree.num_evictable

    @property
    def num_cached(self) -> int:
        """Pages that only kept prefixes hold."""
        return self.tree.num_evictable

    @property
    def num_used(self) -> int:
        """Pages that sequences hold."""
        return self.allocator.num_held - self.num_cached

    def find_prefix(self, sequence: Sequence) -> None:
        """Share every full page of the tree that continues what `sequence` has computed.

        Tokens whose logits are wanted are never found, so never the last one: its logits choose the next. No effect in
        the middle of a page.
        """
        if sequence.node is None:
            sequence.node = self.tree.root
        if sequence.num_own_tokens or len(sequence.pages) > sequence.num_shared:
            return
        while (sequence.num_shared + 1) * PAGE_SIZE <= sequence.num_findable:
            found = self.tree.child(sequence.node, sequence.page_ids(sequence.num_shared))
            if found is None:
                return
            self._share(sequence, found)

    def load_prefix(self, sequence: Sequence, deadline: float) -> bool:
        """Share what the disk has where the tree ended, page after page. False: there is more, but it is late.

        deadline: on the clock of time.perf_counter(); after it no page is begun but a first one.
        """
        assert sequence.node is not None
        if self.disk is None or sequence.num_own_tokens or len(sequence.pages) > sequence.num_shared:
            return True
        is_late = False
        while (sequence.num_shared + 1) * PAGE_SIZE <= sequence.num_findable:
            parent, ids = sequence.node, sequence.page_ids(sequence.num_shared)
            key = self.disk.key(parent.key, ids)
            if not self.disk.has(key) or not self.num_available:
                return True
            if not sequence.is_read_ahead:
                sequence.is_read_ahead = True
                pages = range(sequence.num_shared, sequence.num_findable // PAGE_SIZE)
                self.disk.read_ahead(parent.key, map(sequence.page_ids, pages))
            if is_late:
                return False
            (page,) = self._allocate(1)
            if not self.disk.load(self.latents, page, key, parent.key, ids):
                self.allocator.free([page])
                return True
            node = self.tree.insert(parent, ids, page)
            node.key = key
            self._share(sequence, node)
            is_late = time.perf_counter() >= deadline
        return True

    def copy_tail(self, sequence: Sequence) -> None:
        """Copy the rows of a page that begins like what `sequence` computes next: fewer than 64 tokens, found once."""
        assert sequence.node is not None
        if sequence.num_own_tokens or len(sequence.pages) > sequence.num_shared:
            return
        wanted = sequence.page_ids(sequence.num_shared)[: sequence.num_findable - sequence.num_computed]
        source, num_tokens = self.tree.longest_start(sequence.node, wanted)
        # Without a free page the tree would have to give one up, maybe this very one; then the rows are computed.
        if source is None or source.page is None or not self.allocator.can_allocate(1):
            return
        (page,) = self.allocator.allocate(1)
        self.latents.copy_rows(source.page, page, num_tokens)
        sequence.pages.append(page)
        _count_found(sequence, num_tokens)

    def reserve(self, sequence: Sequence, num_tokens: int) -> bool:
        """Hold pages for the next `num_tokens` tokens, giving up kept prefixes if need be. False: nothing changed."""
        wanted = sequence.pages_wanted(num_tokens)
        if wanted > self.num_available:
            return False
        sequence.pages.extend(self._allocate(wanted))
        return True

    def commit(self, sequence: Sequence) -> None:
        """Put the pages that the last pass filled into the tree; where it has the same page, that one is used."""
        assert sequence.node is not None
        while sequence.num_own_tokens >= PAGE_SIZE:
            page_idx = sequence.num_shared
            node = self.tree.insert(sequence.node, sequence.page_ids(page_idx), sequence.pages[page_idx])
            assert node.page is not None
            if self.disk is not None and not node.key:
                node.key = self.disk.key(sequence.node.key, node.ids)
                self.disk.add(self.latents, node)
            self.tree.use(node)
            if node.page != sequence.pages[page_idx]:
                self.allocator.free([sequence.pages[page_idx]])
                sequence.pages[page_idx] = node.page
            sequence.node = node
            sequence.num_shared += 1

    def save(self, sequence: Sequence) -> None:
        """Have the disk keep all full pages of `sequence`, those that it has given up since included, as just used."""
        if self.disk is not None and sequence.node is not None:
            self.disk.save(self.latents, sequence.node)

    def release(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Give up all pages of `sequence`, which then has nothing computed.

        keep: leave what it computed in the tree; False after an error, when its own pages are not to be trusted.
        """
        if sequence.node is None:
            return
        own = sequence.pages[sequence.num_shared :]
        num_own_tokens = sequence.num_own_tokens
        assert num_own_tokens < PAGE_SIZE, "full pages are committed after each pass"
        if keep and num_own_tokens:
            tail = sequence.page_ids(sequence.num_shared)[:num_own_tokens]
            own[:1] = self.tree.insert_tail(sequence.node, tail, own[0])
        self.allocator.free(own)
        self.tree.leave(sequence.node)
        if sequence.features is not None:
            sequence.features.close()
        sequence.node, sequence.pages = None, []
        sequence.num_computed = sequence.num_shared = 0

    def forget(self) -> None:
        """Give up all kept prefixes in memory."""
        self.allocator.free(self.tree.clear())

    def can_hold(self, sequence: Sequence) -> bool:
        """Whether all tokens known of `sequence`, and one more, fit without anyone giving up pages in use.

        If so, it holds the pages it shares; if not, none.
        """
        if pages_for(len(sequence.token_ids) + 1) > self.allocator.num_pages:
            return False
        self.find_prefix(sequence)
        if sequence.pages_wanted(sequence.num_uncomputed + 1) <= self.num_available:
            return True
        self.release(sequence)
        if sequence.is_first_reading:
            sequence.num_cached_tokens = 0
        return False

    def check(self) -> None:
        """Compare all books."""
        self.allocator.check()
        self.tree.check()
        assert self.tree.num_pages <= self.allocator.num_held

    def _allocate(self, num_pages: int) -> list[int]:
        """Pages, of which no more are wanted than are available."""
        missing = num_pages - self.allocator.available
        if missing > 0:
            self.allocator.free(self.tree.evict(missing))
        return self.allocator.allocate(num_pages)

    def _share(self, sequence: Sequence, node: PageNode) -> None:
        """Have `sequence` use `node`, the page after its last one."""
        assert node.page is not None
        self.tree.use(node)
        sequence.node = node
        sequence.pages.append(node.page)
        sequence.num_shared += 1
        _count_found(sequence, PAGE_SIZE)


def _count_found(sequence: Sequence, num_tokens: int) -> None:
    sequence.num_computed += num_tokens
    if sequence.is_first_reading:
        sequence.num_cached_tokens += num_tokens
