"""What is kept, and what is given up."""

from moonlet.engine.byte_lru import ByteLru


def test_the_least_recently_used_is_dropped_and_the_bytes_stay_within_the_room():
    kept: ByteLru[str] = ByteLru(max_bytes=100)
    kept.put("one", "1", 40)
    kept.put("two", "2", 40)
    assert kept.get("one") == "1"
    kept.put("three", "3", 40)
    assert (kept.get("two"), kept.get("one"), kept.get("three")) == (None, "1", "3")
    assert kept.num_bytes == 80


def test_what_exceeds_the_room_is_not_kept_and_drops_nothing_else():
    kept: ByteLru[str] = ByteLru(max_bytes=100)
    kept.put("one", "1", 100)
    kept.put("large", "2", 101)
    assert (kept.get("large"), kept.get("one"), kept.num_bytes) == (None, "1", 100)


def test_a_key_put_again_counts_once():
    kept: ByteLru[str] = ByteLru(max_bytes=100)
    kept.put("one", "1", 30)
    kept.put("one", "2", 50)
    assert (kept.get("one"), kept.num_bytes) == ("2", 50)
