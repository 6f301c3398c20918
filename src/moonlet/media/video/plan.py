"""Which frames of a video are taken and how large: the published rule, or less where a budget asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.errors import MediaError
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import Geometry, fit
from moonlet.media.options import MediaOptions
from moonlet.media.video.sampling import chunks_of, num_sampled, sample, timestamp
from moonlet.media.video.timeline import Timeline
from moonlet.model.vision import Grid

# A budget lowers the rate to this first, then the size to this, and then the rate again. The sizes are those of the
# report's evaluation of long video (448 pixels along the longer side: at most 256 tokens a chunk).
_LOW_FPS = 0.5
_LOW_PATCHES = 1024


@dataclass(frozen=True, slots=True)
class FramePlan:
    """What is taken of a video.

    frame_indices: frames of a constant rate of `timeline.fps`.  frames_per_chunk: what the tower sees together.
    """

    timeline: Timeline
    geometry: Geometry
    frame_indices: tuple[int, ...]
    config: MediaProcessorConfig

    @property
    def chunks(self) -> list[tuple[int, ...]]:
        """The frames of each chunk."""
        return chunks_of(self.frame_indices, self.config.temporal_merge_kernel_size)

    @property
    def grids(self) -> list[Grid]:
        """The patches of each chunk."""
        return [self.geometry.grid(self.config, len(chunk)) for chunk in self.chunks]

    @property
    def timestamps(self) -> tuple[str, ...]:
        """What the prompt says before each chunk."""
        return tuple(timestamp(chunk[0] / self.timeline.fps) for chunk in self.chunks)

    @property
    def num_tokens(self) -> int:
        """Placeholders of all chunks, without the text around them."""
        return sum(grid.num_tokens for grid in self.grids)

    @property
    def sampled_fps(self) -> float:
        """Frames taken of a second."""
        return len(self.frame_indices) / self.timeline.duration_s


def plan_video(
    name: str, timeline: Timeline, size: tuple[int, int], config: MediaProcessorConfig, options: MediaOptions
) -> FramePlan:
    """The frames to take of a video of `size` (width, height).

    Without options as published. `video_fps` and `video_frames` bound the frames; `video_tokens` lowers the rate, then
    the size, until the budget holds.
    Raises MediaError if not even one small chunk fits the budget.
    """
    count = num_sampled(timeline.num_frames, timeline.fps, options.video_fps or config.sample_fps)
    bounds = [count, timeline.num_frames, options.video_frames, config.max_num_frames_each_video]
    count = min(bound for bound in bounds if bound is not None)

    def plan(num_frames: int, patch_limit: int) -> FramePlan:
        if config.in_patch_limit_video is not None:
            patch_limit = min(patch_limit, max(1, round(config.in_patch_limit_video / num_frames)))
        indices = tuple(sample(timeline.num_frames, num_frames))
        return FramePlan(timeline, fit(*size, patch_limit, config), indices, config)

    full = plan(count, config.in_patch_limit_each_frame)
    budget = options.video_tokens
    if budget is None or full.num_tokens <= budget:
        return full
    per_chunk = config.temporal_merge_kernel_size

    def tokens_at(patch_limit: int) -> int:
        return fit(*size, patch_limit, config).grid(config).num_tokens

    def fewer(patch_limit: int) -> int:
        """Frames whose chunks fit the budget at this size; 0 if not even one does."""
        return min(count, budget // tokens_at(patch_limit) * per_chunk)

    def smaller(num_frames: int) -> int | None:
        """The largest size at which so many frames fit the budget; None if no size does."""
        wanted = budget // -(-num_frames // per_chunk)
        low, high = 1, config.in_patch_limit_each_frame
        if tokens_at(low) > wanted:
            return None
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if tokens_at(middle) <= wanted else (low, middle - 1)
        return low

    low_count = min(count, num_sampled(timeline.num_frames, timeline.fps, _LOW_FPS))
    low_patches = min(_LOW_PATCHES, config.in_patch_limit_each_frame)
    num_frames = fewer(config.in_patch_limit_each_frame)
    if num_frames >= low_count:
        return plan(num_frames, config.in_patch_limit_each_frame)
    patch_limit = smaller(low_count)
    if patch_limit is not None and patch_limit >= low_patches:
        return plan(low_count, patch_limit)
    num_frames = fewer(low_patches)
    if num_frames > 0:
        return plan(num_frames, low_patches)
    patch_limit = smaller(1)
    if patch_limit is None:
        raise MediaError(
            f"{name}: at least {tokens_at(1):,} tokens at any size, --video-tokens allows {budget:,}; raise it"
        )
    return plan(min(count, per_chunk), patch_limit)
