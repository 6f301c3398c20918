"""Features of images and video, made when the forward pass that reads them comes, and kept while there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from moonlet.engine.byte_lru import ByteLru
from moonlet.engine.language_model import VisionEncoder
from moonlet.engine.media import MediaSpan
from moonlet.media.prepared import PreparedMedia
from moonlet.model.vision import VisionItem

FeatureCache = ByteLru[Tensor]
"""Features [num_tokens, hidden_size] float32 by content hash; not to be written to."""


class FeatureReader:
    """The features of one sequence's media, piece by piece as prefill reaches them.

    Holds one piece and one open video at most: a video of any length is decoded as it is read. `close` it when the
    sequence closes.
    """

    def __init__(self, spans: Sequence[MediaSpan], encoder: VisionEncoder, cache: FeatureCache) -> None:
        """spans: ascending, without overlap."""
        self._spans = spans
        self._encoder = encoder
        self._cache = cache
        # A piece longer than a prefill chunk is asked for again and again; the cache may be too small to hold it.
        self._current: tuple[MediaSpan, Tensor] | None = None
        self._open: tuple[PreparedMedia, int, Iterator[VisionItem]] | None = None

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        """What falls on the positions from `start` to `stop`: (position, [n, hidden_size] float32) in order.

        Raises MediaError if a video turns out to be damaged where nobody has looked yet.
        """
        for span in self._spans:
            first, last = max(start, span.start), min(stop, span.stop)
            if first < last:
                yield first, self._features(span)[first - span.start : last - span.start]

    def close(self) -> None:
        """Give up the open video and the piece in hand."""
        self._open = self._current = None

    def _features(self, span: MediaSpan) -> Tensor:
        if self._current is not None and self._current[0] is span:
            return self._current[1]
        features = self._cache.get(span.piece.content_hash)
        if features is None:
            (features,) = self._encoder.encode([self._item(span)])
            assert len(features) == span.piece.num_tokens, "the tower makes one row a placeholder"
            self._cache.put(span.piece.content_hash, features, features.nbytes)
        self._current = (span, features)
        return features

    def _item(self, span: MediaSpan) -> VisionItem:
        if self._open is not None and self._open[0] is span.media and self._open[1] == span.index:
            items = self._open[2]
        else:
            items = span.media.items(span.index)
        # Left closed if decoding is interrupted: an iterator that raised cannot go on.
        self._open = None
        item = next(items)
        self._open = (span.media, span.index + 1, items)
        return item
