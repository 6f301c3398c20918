"""Where the latents of a conversation live: pages of 64 tokens, who holds which page, and what is kept for later."""

from moonlet.cache.allocator import OutOfPagesError, PageAllocator
from moonlet.cache.disk import DiskStats, DiskTier
from moonlet.cache.kv_folder import NO_PARENT, KvFolder
from moonlet.cache.pages import PAGE_SIZE, LatentPages, pages_for
from moonlet.cache.prefix_tree import PageNode, PrefixTree

__all__ = [
    "NO_PARENT",
    "PAGE_SIZE",
    "DiskStats",
    "DiskTier",
    "KvFolder",
    "LatentPages",
    "OutOfPagesError",
    "PageAllocator",
    "PageNode",
    "PrefixTree",
    "pages_for",
]
