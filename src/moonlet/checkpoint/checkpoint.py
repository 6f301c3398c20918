"""A checkpoint directory as the rest of the program sees it: model facts, and tensors by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from moonlet.checkpoint.header import TensorEntry
from moonlet.checkpoint.index import read_index
from moonlet.checkpoint.layout import expected_layout
from moonlet.checkpoint.shard import Shard
from moonlet.checkpoint.verify import check_index, check_layout, check_stored_shapes, locate
from moonlet.config import ModelConfig, load_model_config
from moonlet.errors import CheckpointError
from moonlet.formats.finite import count_nonfinite

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


class Checkpoint:
    """An opened checkpoint: every header has been held against the strict layout, no weight has been read.

    Tensors are views of mapped files. They stay valid as long as they are referenced, also after this object is gone.
    """

    def __init__(
        self, directory: Path, config: ModelConfig, shards: tuple[Shard, ...], found: dict[str, Shard]
    ) -> None:
        """For `open_checkpoint`, which has verified that the parts agree."""
        self.directory = directory
        self.config = config
        self._shards = shards
        self._found = found

    @property
    def names(self) -> tuple[str, ...]:
        """Every tensor's published name, in the order of the files."""
        return tuple(self._found)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(self.bytes_by_dtype().values())

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the tensors."""
        return tuple(shard.path for shard in self._shards)

    def get(self, name: str) -> Tensor:
        """The tensor `name`, mapped and not copied. Raises CheckpointError for a name the checkpoint does not hold."""
        return self._shard(name).tensor(name)

    def entry(self, name: str) -> TensorEntry:
        """Type, shape and place of `name`. Raises CheckpointError for a name the checkpoint does not hold."""
        return self._shard(name).entries[name]

    def bytes_by_dtype(self) -> dict[str, int]:
        """Bytes of the tensors of each type, largest first."""
        sizes: Counter[str] = Counter()
        for shard in self._shards:
            for entry in shard.entries.values():
                sizes[entry.dtype] += entry.num_bytes
        return dict(sizes.most_common())

    def check_values(self, progress: Progress | None = None) -> None:
        """Read every floating tensor and look for values no weight may have.

        Reads the whole checkpoint once, in bounded memory. Raises CheckpointError naming the first tensor with NaN or
        infinity and how many it holds.
        """
        total, done = self.num_bytes, 0
        for shard in self._shards:
            for name, entry in shard.entries.items():
                bad = count_nonfinite(shard.tensor(name))
                if bad:
                    raise CheckpointError(
                        f"{name}: {bad:,} of its values are NaN or infinite ({shard.path.name}), expected none; "
                        "the file is damaged or badly converted, fetch it again"
                    )
                done += entry.num_bytes
                if progress is not None:
                    progress(done, total)

    def _shard(self, name: str) -> Shard:
        shard = self._found.get(name)
        if shard is None:
            raise CheckpointError(f"{name}: not in {self.directory}")
        return shard


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open the checkpoint in directory `path` and verify its form.

    Reads config.json, the index, every shard's header and the stored shapes of the packed tensors; a few seconds
    for K2.5's 208,550 tensors. Raises ConfigError or CheckpointError in one line for whatever is missing, extra,
    mis-shaped, mis-typed, cut short or misplaced.
    """
    directory = Path(path)
    config = load_model_config(directory)
    index = read_index(directory)
    shards = tuple(Shard(directory / name) for name in index.files)
    found = locate(shards)
    expected = expected_layout(config)
    check_index(index, found)
    check_layout(expected, found)
    check_stored_shapes(expected, shards)
    return Checkpoint(directory, config, shards, found)
