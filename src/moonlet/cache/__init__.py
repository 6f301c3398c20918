"""Where the latents of a conversation live: pages of 64 tokens, and who holds which page."""

from moonlet.cache.allocator import OutOfPagesError, PageAllocator
from moonlet.cache.pages import PAGE_SIZE, LatentPages, pages_for

__all__ = ["PAGE_SIZE", "LatentPages", "OutOfPagesError", "PageAllocator", "pages_for"]
