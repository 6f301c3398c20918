import resource

import pytest
import torch

from moonlet.cache import PAGE_SIZE, LatentPages, pages_for
from moonlet.errors import OutOfMemoryError


def test_pages_for_rounds_up():
    assert [pages_for(n) for n in (0, 1, 63, 64, 65, 128)] == [0, 1, 1, 1, 2, 2]


def test_layers_have_the_stated_shape_and_do_not_overlap():
    pages = LatentPages(num_layers=3, num_pages=5, width=20)
    assert pages.layer(1).shape == (5, PAGE_SIZE, 20)
    assert pages.layer(1).dtype == torch.float16
    assert pages.layer(1).is_contiguous()
    assert pages.nbytes == 3 * 5 * 64 * 20 * 2
    pages.layer(1).fill_(1.0)
    assert pages.layer(0).abs().max() == 0
    assert pages.layer(2).abs().max() == 0
    assert pages.layer(1).min() == 1


def test_unused_pages_read_as_zeros_and_cost_no_memory():
    """A pool for a long context is mapped, not touched: 4 GiB of it must not take 4 GiB of RAM."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = LatentPages(num_layers=64, num_pages=1024, width=512)
    assert pages.nbytes == 4 * 2**30
    assert pages.layer(63)[1023, 63].abs().max() == 0
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 256 * 1024


def test_a_pool_beyond_the_machine_is_refused_with_numbers():
    with pytest.raises(OutOfMemoryError, match=r"KV cache: .* tokens need .* GiB.*smaller context"):
        LatentPages(num_layers=61, num_pages=2**40, width=576)


def test_dtype_can_be_chosen():
    assert LatentPages(1, 1, 8, dtype=torch.float32).layer(0).dtype == torch.float32
