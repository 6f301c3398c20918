"""Headers that are cut, damaged or hostile: each refused in one line that names the file."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from moonlet.checkpoint.gguf import open_gguf
from moonlet.checkpoint.gguf.header import parse_header
from moonlet.errors import CheckpointError, ConfigError


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def head(num_tensors: int, num_metadata: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, num_tensors, num_metadata)


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


def padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 32) * 32, b"\0")


HUGE = 1 << 62
HOSTILE = {
    "another magic": (b"GGML" + bytes(20), "begins with"),
    "nothing": (b"GG", "cut short"),
    "an old version": (head(0, 0, version=1), "version 1, expected 2 or 3"),
    "big-endian": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
    "huge tensor count": (head(HUGE, 0), "tensors, expected at most"),
    "huge metadata count": (head(0, HUGE), "metadata pairs, expected at most"),
    "huge key": (head(0, 1) + struct.pack("<Q", HUGE), "expected at most 65,535"),
    "huge string": (head(0, 1) + text("k") + struct.pack("<IQ", 8, HUGE), "metadata k claims"),
    "string past the end": (head(0, 1) + text("k") + struct.pack("<IQ", 8, 1000), "metadata k needs 1,000 bytes"),
    "string that is not UTF-8": (head(0, 1) + text("k") + struct.pack("<IQ", 8, 1) + b"\xff", "not UTF-8"),
    "huge array": (head(0, 1) + text("k") + struct.pack("<IIQ", 9, 4, HUGE), "items, expected at most"),
    "array past the end": (head(0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 20), "needs 8,388,608 bytes"),
    "nested arrays": (head(0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1), "array of arrays"),
    "unknown value type": (head(0, 1) + text("k") + struct.pack("<I", 99), "value type 99"),
    "odd truth value": (head(0, 1) + text("k") + struct.pack("<IB", 7, 2), "truth value of 2"),
    "repeated key": (head(0, 2) + (text("k") + struct.pack("<IB", 7, 1)) * 2, "occurs twice"),
    "alignment of zero": (head(0, 1) + text("general.alignment") + struct.pack("<II", 4, 0), "power of two"),
    "alignment of 24": (head(0, 1) + text("general.alignment") + struct.pack("<II", 4, 24), "power of two"),
    "no dimensions": (head(1, 0) + tensor("t", []), "0 dimensions"),
    "nine dimensions": (head(1, 0) + tensor("t", [1] * 9), "9 dimensions"),
    "a size of zero": (head(1, 0) + tensor("t", [0]), "shape [0]"),
    "absurd sizes": (head(1, 0) + tensor("t", [1 << 40, 1 << 40]), "at most"),
    "unknown tensor type": (head(1, 0) + tensor("t", [32], kind=31), "type 31"),
    "half a block": (head(1, 0) + tensor("t", [48], kind=2), "multiple of the 32"),
    "offset past the end": (padded(head(1, 0) + tensor("t", [8], offset=1 << 50)) + bytes(32), "offset"),
    "overlap": (padded(head(2, 0) + tensor("a", [8]) + tensor("b", [8])) + bytes(64), "expected 32"),
    "repeated tensor": (padded(head(2, 0) + tensor("a", [8]) + tensor("a", [8], offset=32)) + bytes(64), "twice"),
    "data cut short": (padded(head(1, 0) + tensor("t", [64])) + bytes(100), "cut short"),
    "data left over": (padded(head(1, 0) + tensor("t", [8])) + bytes(1000), "after the last tensor"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_by_name(case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(CheckpointError) as error:
        parse_header(memoryview(data), "m.gguf")
    assert str(error.value).startswith("m.gguf: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_plain_header_is_read() -> None:
    data = padded(head(1, 1) + text("k") + struct.pack("<If", 6, 0.5) + tensor("t", [32, 3], kind=8)) + bytes(128)
    header = parse_header(memoryview(data), "m.gguf")
    assert header.metadata == {"k": 0.5}
    entry = header.tensors["t"]
    assert (entry.kind.name, entry.shape, entry.num_bytes) == ("Q8_0", (3, 32), 102)
    assert entry.start % 32 == 0


def mutated(rng: random.Random, header: bytes) -> bytes:
    """A few flipped bits, extreme numbers, pieces removed or repeated."""
    data = bytearray(header)
    for _ in range(rng.choice((1, 1, 2, 5))):
        # The token lists are long and mostly text; aim at the numbers before them as well.
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 2500))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 8] = struct.pack("<Q", rng.choice((0, 1, 255, 1 << 31, 1 << 63, (1 << 64) - 1)))
            case 2:
                del data[at : at + rng.randrange(1, 64)]
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 64)]
            case _:
                data[at : at + 4] = struct.pack("<I", rng.choice((0, 7, 8, 9, 13, 40, 0xFFFFFFFF)))
    return bytes(data)


def refusal(call: Callable[[], object]) -> str | None:
    """The one clear line that `call` is refused with; None if it is not. Any other exception is the test's failure."""
    try:
        call()
    except (CheckpointError, ConfigError) as error:
        return str(error)
    return None


def test_no_mutation_of_a_header_does_more_than_raise_a_clear_error(tiny_file: Path, tmp_path: Path) -> None:
    """Seeded: 250 headers through the parser, every tenth also as a file through everything that reads it."""
    rng = random.Random(20260101)
    original = tiny_file.read_bytes()
    size = min(entry.start for entry in parse_header(memoryview(original), "m.gguf").tensors.values())
    target = tmp_path / "mutant.gguf"
    refused: list[str] = []
    opened = 0
    for number in range(250):
        tail = original[size:] if rng.random() < 0.8 else original[size : size + rng.randrange(1 << 16)]
        data = mutated(rng, original[:size]) + tail
        said = refusal(lambda data=data: parse_header(memoryview(data), "m.gguf"))
        if said is not None:
            refused.append(said)
        if number % 10 == 0:
            target.write_bytes(data)
            said = refusal(lambda: open_gguf(target))
            opened += said is None
            refused.extend([] if said is None else [said])
    # Texts of tokens and facts nobody reads may change; sizes, counts, offsets and types may not.
    assert len(refused) > 120
    assert opened < 15
    assert not [said for said in refused if "\n" in said or len(said) > 1000]
