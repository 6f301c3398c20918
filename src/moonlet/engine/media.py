"""Images and video in a prompt: placeholders to as many ids as the features need, and which id is whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moonlet.chat.template import RenderedPrompt
from moonlet.errors import ContextLengthError
from moonlet.media.image import PreparedImage
from moonlet.media.prepared import MediaPiece, PreparedMedia, counted
from moonlet.media.video import PreparedVideo


@dataclass(frozen=True, slots=True)
class MediaSpan:
    """The placeholder ids of one piece of `media`, from position `start` of the prompt on."""

    start: int
    media: PreparedMedia
    index: int

    @property
    def piece(self) -> MediaPiece:
        return self.media.pieces[self.index]

    @property
    def stop(self) -> int:
        """The position after the last placeholder."""
        return self.start + self.piece.num_tokens

    @property
    def identity_id(self) -> int:
        """A negative int64 in the place of each placeholder wherever prompts are compared.

        All pictures have the same placeholders, so their ids cannot tell what the cache holds. 63 bits of the content
        hash can: another picture with the same ones would take 2^63 attempts to find.
        """
        return -1 - (int(self.piece.content_hash[:16], 16) >> 1)


def place_media(prompt: RenderedPrompt, media: Sequence[PreparedMedia]) -> tuple[list[int], tuple[MediaSpan, ...]]:
    """The prompt's ids with one placeholder for each token of each piece, and where each piece stands.

    media: in the order of `prompt.media`, a video with as many pieces as its slot has positions.
    """
    ids: list[int] = []
    spans: list[MediaSpan] = []
    done = 0
    for slot, one in zip(prompt.media, media, strict=True):
        for index, (position, piece) in enumerate(zip(slot.positions, one.pieces, strict=True)):
            ids.extend(prompt.ids[done:position])
            spans.append(MediaSpan(len(ids), one, index))
            ids.extend([prompt.ids[position]] * piece.num_tokens)
            done = position + 1
    ids.extend(prompt.ids[done:])
    return ids, tuple(spans)


def identity_ids(token_ids: list[int], media: Sequence[MediaSpan]) -> list[int]:
    """`token_ids` with the placeholders of `media` replaced by what tells their pictures apart."""
    ids = list(token_ids)
    for span in media:
        stop = min(span.stop, len(ids))
        ids[span.start : stop] = [span.identity_id] * (stop - span.start)
    return ids


def check_room(num_prompt_tokens: int, media: Sequence[PreparedImage | PreparedVideo], context_length: int) -> None:
    """Raises ContextLengthError, naming the option that helps, if it is media that the context cannot hold."""
    taken = [sum(piece.num_tokens for piece in one.pieces) for one in media]
    num_text = num_prompt_tokens - sum(taken)
    if num_prompt_tokens < context_length or num_text >= context_length:
        return
    in_videos = sum(tokens for one, tokens in zip(media, taken, strict=True) if isinstance(one, PreparedVideo))
    # An eighth of the context is left for the reply.
    room = context_length - context_length // 8 - (num_prompt_tokens - in_videos)
    num_videos = sum(isinstance(one, PreparedVideo) for one in media)
    if num_videos and room // num_videos > 0:
        advice = f"--video-tokens {room // num_videos} (video_tokens) makes it fit"
    else:
        advice = f"--context-length {num_prompt_tokens + context_length // 8} would hold it, or send less"
    raise ContextLengthError(
        f"images and video take {counted(sum(taken), 'token')} beside {num_text:,} of text, the context holds "
        f"{context_length:,}; {advice}"
    )
