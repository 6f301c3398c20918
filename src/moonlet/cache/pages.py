"""The memory behind the KV cache: one latent vector a token and layer, in pages of 64 tokens.

MLA keeps `kv_lora_rank` normalised latent values and `qk_rope_head_dim` rotated key values for each token, shared by
all heads; that is the width W of a row. A token's row is the same in every layer's tensor: slot = page * 64 + offset.
"""

from __future__ import annotations

import mmap

import torch

from moonlet.errors import OutOfMemoryError

PAGE_SIZE = 64


def pages_for(num_tokens: int) -> int:
    """How many pages `num_tokens` tokens fill."""
    return -(-num_tokens // PAGE_SIZE)


class LatentPages:
    """The latents of every layer: `layer(i)` is [num_pages, 64, width].

    On the CPU the memory is mapped, not touched: a page costs RAM once a token is stored in it, so a pool sized for the
    whole context is free until it is used. It reads as zeros before that, never as NaN, which a masked torch sum
    would spread. The memory lives as long as this object or any view of it.
    """

    def __init__(
        self,
        num_layers: int,
        num_pages: int,
        width: int,
        dtype: torch.dtype = torch.float16,
        device: torch.device | str = "cpu",
    ) -> None:
        """num_pages: pages of 64 tokens, shared by all sequences.  width: kv_lora_rank + qk_rope_head_dim.

        Raises OutOfMemoryError where the machine cannot even map that much.
        """
        assert num_layers > 0
        assert num_pages > 0
        assert width > 0
        self.num_layers = num_layers
        self.num_pages = num_pages
        self.width = width
        shape = (num_layers, num_pages, PAGE_SIZE, width)
        if torch.device(device).type == "cpu":
            num_bytes = num_layers * num_pages * PAGE_SIZE * width * dtype.itemsize
            # Private and anonymous: zero pages of the kernel until written, and never swapped to a file.
            try:
                memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError as error:
                raise OutOfMemoryError(
                    f"KV cache: {num_pages * PAGE_SIZE} tokens need {num_bytes / 2**30:.1f} GiB, which this machine "
                    "refuses to map; choose a smaller context length"
                ) from error
            self._latents = torch.frombuffer(memory, dtype=dtype).view(shape)
        else:
            self._latents = torch.zeros(shape, dtype=dtype, device=device)

    @property
    def dtype(self) -> torch.dtype:
        return self._latents.dtype

    @property
    def device(self) -> torch.device:
        return self._latents.device

    @property
    def nbytes(self) -> int:
        """Bytes of all pages of all layers once they are in use."""
        return self._latents.nbytes

    @property
    def page_bytes(self) -> int:
        """Bytes of one page in all layers."""
        return self.nbytes // self.num_pages

    def layer(self, layer_idx: int) -> torch.Tensor:
        """The pages of one layer, [num_pages, 64, width], a view that stays valid: writing to it stores latents."""
        return self._latents[layer_idx]

    def copy_rows(self, source_page: int, target_page: int, num_rows: int) -> None:
        """Copy the first `num_rows` tokens of one page to another, in every layer."""
        assert source_page != target_page
        self._latents[:, target_page, :num_rows] = self._latents[:, source_page, :num_rows]

    def read_page(self, page: int) -> bytes:
        """A copy of one page of every layer: [num_layers, 64, width] in memory order."""
        return self._latents[:, page].view(torch.uint8).cpu().numpy().tobytes()

    def write_page(self, page: int, rows: memoryview) -> None:
        """Store what `read_page` gave; `page_bytes` of them, writable."""
        target = self._latents[:, page].view(torch.uint8)
        target.copy_(torch.frombuffer(rows, dtype=torch.uint8).view(target.shape))
