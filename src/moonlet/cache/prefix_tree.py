"""Prefixes of conversations as a tree over pages, so that requests which begin alike share what they have in common.

    root ── page of tokens 0-63 ──┬── page of tokens 64-127 ──── tail of tokens 128-140
                                  └── another page of tokens 64-127

A node is one page and the 64 tokens in it, under the page before it. Tokens are compared by identity ids: the ids of
text, and for the placeholders of a picture a negative number made from its content, since all pictures look alike by
their ids. A tail holds fewer than 64 tokens and has no children; nobody holds a tail, whoever matches one copies rows.

A sequence that uses a page counts in `num_users` of its node and of all nodes above. Pages without users stay until
their room is needed; then leaves go, the one used longest ago first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from moonlet.cache.pages import PAGE_SIZE

Ids = tuple[int, ...]


@dataclass(slots=True, eq=False)
class PageNode:
    """One page of the tree. The root has none: `page` is None there alone."""

    ids: Ids
    page: int | None
    parent: PageNode | None
    children: dict[Ids, PageNode] = field(default_factory=dict)
    num_users: int = 0
    last_used: int = 0
    key: bytes = b""
    """Names a full page on the disk; empty where nothing is kept there."""

    @property
    def is_tail(self) -> bool:
        return len(self.ids) < PAGE_SIZE


class PrefixTree:
    """Holds pages; never allocates or frees one. What it takes or gives up goes through its caller's books."""

    def __init__(self) -> None:
        self.root = PageNode((), None, None)
        self.num_pages = 0
        self.num_used_pages = 0
        """Pages with users: these cannot be evicted."""
        self._clock = count(1)
        # Leaves without users, by time of last use. Entries go stale when a leaf is used or grows a child; whoever pops
        # one compares.
        self._leaves: list[tuple[int, int, PageNode]] = []
        self._tie_breaker = count()

    @property
    def num_evictable(self) -> int:
        """Pages that `evict` can give up: what stands under a page without users has none either."""
        return self.num_pages - self.num_used_pages

    def child(self, node: PageNode, ids: Ids) -> PageNode | None:
        """The full page that holds `ids` (64 of them) after `node`."""
        return node.children.get(ids)

    def longest_start(self, node: PageNode, ids: Sequence[int]) -> tuple[PageNode | None, int]:
        """The page after `node` that begins with the most of `ids`, and how many tokens that is. Time: all children."""
        best, best_length = None, 0
        for child in node.children.values():
            length = _common_length(child.ids, ids)
            if length > best_length:
                best, best_length = child, length
        return best, best_length

    def use(self, node: PageNode) -> None:
        """Count one more user of `node`, who is already counted in its parent."""
        if node.page is None:
            return
        node.num_users += 1
        self.num_used_pages += node.num_users == 1

    def leave(self, node: PageNode) -> None:
        """Count one user less of `node` and of all nodes above; it is the most recently used now."""
        now = next(self._clock)
        current: PageNode | None = node
        while current is not None and current.page is not None:
            assert current.num_users > 0, "a page is left by one who does not use it"
            current.num_users -= 1
            self.num_used_pages -= current.num_users == 0
            current.last_used = now
            current = current.parent
        self._offer(node)

    def insert(self, parent: PageNode, ids: Ids, page: int) -> PageNode:
        """The node for the 64 `ids` after `parent`: a new one that takes `page` over, or the one that is there.

        The caller keeps `page` where the node returned holds another one.
        """
        assert len(ids) == PAGE_SIZE
        found = parent.children.get(ids)
        return found if found is not None else self._add(parent, ids, page)

    def insert_tail(self, parent: PageNode, ids: Ids, page: int) -> list[int]:
        """Keep fewer than 64 computed tokens after `parent`; returns the pages given up, `page` itself among them
        where a page or a tail that begins with `ids` is there already."""
        assert 0 < len(ids) < PAGE_SIZE
        best, length = self.longest_start(parent, ids)
        if best is not None and length == len(ids):
            return [page]
        node = self._add(parent, ids, page)
        node.last_used = next(self._clock)
        self._offer(node)
        if best is not None and best.is_tail and length == len(best.ids):
            return [self._remove(best)]
        return []

    def evict(self, num_pages: int) -> list[int]:
        """Give up `num_pages` pages, or all that have no users if those are fewer. Returns the pages."""
        freed: list[int] = []
        while self._leaves and len(freed) < num_pages:
            last_used, _, node = heapq.heappop(self._leaves)
            if node.last_used != last_used or not _is_evictable(node):
                continue
            parent = node.parent
            assert parent is not None
            freed.append(self._remove(node))
            parent.last_used = max(parent.last_used, last_used)
            self._offer(parent)
        return freed

    def clear(self) -> list[int]:
        """Give up every page without users. Returns the pages."""
        return self.evict(self.num_evictable)

    def nodes(self) -> Iterator[PageNode]:
        """Every page of the tree, parents before children."""
        stack = list(self.root.children.values())
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.children.values())

    def check(self) -> None:
        """Compare the books with the tree itself."""
        nodes = list(self.nodes())
        pages = [node.page for node in nodes]
        assert len(set(pages)) == len(pages) == self.num_pages, "a page stands twice in the tree, or is miscounted"
        assert sum(node.num_users > 0 for node in nodes) == self.num_used_pages, "used pages are miscounted"
        for node in nodes:
            assert not node.is_tail or not (node.children or node.num_users), "a tail has children or users"
            assert node.num_users >= max((child.num_users for child in node.children.values()), default=0)

    def _add(self, parent: PageNode, ids: Ids, page: int) -> PageNode:
        assert not parent.is_tail or parent is self.root
        node = parent.children[ids] = PageNode(ids, page, parent)
        self.num_pages += 1
        return node

    def _remove(self, node: PageNode) -> int:
        assert node.parent is not None
        assert node.page is not None
        del node.parent.children[node.ids]
        page, node.page, node.parent = node.page, None, None
        self.num_pages -= 1
        return page

    def _offer(self, node: PageNode) -> None:
        if not _is_evictable(node):
            return
        if len(self._leaves) > 2 * self.num_pages + 64:
            live = [entry for entry in self._leaves if _is_evictable(entry[2]) and entry[2].last_used == entry[0]]
            heapq.heapify(live)
            self._leaves = live
        heapq.heappush(self._leaves, (node.last_used, next(self._tie_breaker), node))


def _is_evictable(node: PageNode) -> bool:
    return node.page is not None and not node.children and node.num_users == 0


def _common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading ids are the same."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(index for index in range(length) if first[index] != second[index])
