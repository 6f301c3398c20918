"""`moonlet inspect-media`: what a model would see of an image or a video, without loading one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from moonlet.chat.template import video_text
from moonlet.cli.attachments import kind_of
from moonlet.cli.options import media_options
from moonlet.media.options import MediaOptions
from moonlet.media.source import from_path

if TYPE_CHECKING:
    from moonlet.media.image import PreparedImage
    from moonlet.media.video import PreparedVideo
    from moonlet.model.vision import Grid

_EXAMPLES = "Examples: moonlet inspect-media photo.jpg   moonlet inspect-media clip.mp4 --video-tokens 4000"


@click.command("inspect-media", epilog=_EXAMPLES)
@click.argument("path", metavar="FILE")
@click.option("--as", "shown_as", type=click.Choice(("image", "video")), help="By the name of the file if not given.")
@click.option("--model", "-m", help="A checkpoint whose preprocessor_config.json counts; K2.5's values if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@media_options
def command(path: str, shown_as: str | None, model: str | None, as_json: bool, media: MediaOptions) -> None:
    """Say what a model would see of FILE: its size, patches and tokens; of a video the frames and times of each chunk.

    A GIF or WebP is an image, its first frame; with --as video it is all of them.
    """
    from moonlet.checkpoint.hub import resolve_model
    from moonlet.media.config import MediaProcessorConfig, load_media_config
    from moonlet.media.image import load_image
    from moonlet.media.video import open_video

    config = MediaProcessorConfig() if model is None else load_media_config(resolve_model(model))
    if (shown_as or kind_of(path)) == "video":
        video = open_video(from_path(path, "video"), config, media)
        facts, lines = _video_facts(video), _video_lines(video)
    else:
        image = load_image(from_path(path, "image"), config, media.limits)
        facts, lines = _image_facts(image), [image.summary, _grid_text(image.pieces[0].grid)]
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines))


def _image_facts(image: PreparedImage) -> dict[str, Any]:
    (piece,) = image.pieces
    return {
        "kind": "image",
        "width": image.width,
        "height": image.height,
        "resized": [image.geometry.width, image.geometry.height],
        "grid_thw": _grid_list(piece.grid),
        "num_tokens": piece.num_tokens,
        "content_hash": piece.content_hash,
    }


def _video_facts(video: PreparedVideo) -> dict[str, Any]:
    plan = video.plan
    chunks = zip(plan.timestamps, plan.chunks, plan.grids, strict=True)
    return {
        "kind": "video",
        "width": video.video.width,
        "height": video.video.height,
        "fps": plan.timeline.fps,
        "num_frames": plan.timeline.num_frames,
        "duration_s": plan.timeline.duration_s,
        "resized": [plan.geometry.width, plan.geometry.height],
        "num_tokens": plan.num_tokens,
        "changed": video.changed,
        "chunks": [
            {"timestamp": time, "frames": frames, "grid_thw": _grid_list(grid), "num_tokens": grid.num_tokens}
            for time, frames, grid in chunks
        ],
        "prompt": video_text(plan.timestamps),
    }


def _video_lines(video: PreparedVideo) -> list[str]:
    from moonlet.media.prepared import counted

    plan = video.plan
    return [
        video.summary,
        *(
            f"{time}  {_grid_text(grid)}, {counted(grid.num_tokens, 'token')}, frames {', '.join(map(str, frames))}"
            for time, frames, grid in zip(plan.timestamps, plan.chunks, plan.grids, strict=True)
        ),
    ]


def _grid_list(grid: Grid) -> list[int]:
    return [grid.t, grid.h, grid.w]


def _grid_text(grid: Grid) -> str:
    return f"grid {grid.t} x {grid.h} x {grid.w}"
