"""Decoding and sampling a long video: time against a plain PyAV read of the same frames, and memory.

    python bench/video.py
    python bench/video.py --seconds 60 --keep clip.mp4

A clip of 1920 x 1080 is generated first (kept where --keep says, and used again from there). Each reader then runs in a
process of its own. `plain` decodes the file with PyAV and converts the sampled frames to RGB, no more, with the threads
PyAV uses when it is told nothing; `plain, all threads` is the same with frame threads. `moonlet` gives the tower's
patches: it also reads the file once for its index, resizes and normalises. Memory is the peak above what the process
took before it opened the file. On a busy machine compare processor time, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from moonlet.media.config import MediaProcessorConfig
from moonlet.media.options import MediaOptions
from moonlet.media.source import from_path
from moonlet.media.video import open_video

WIDTH, HEIGHT, FPS = 1920, 1080, 30
# What cameras and sites give a film of this size.
BITS_PER_S = 8_000_000
READERS = ("plain", "plain, all threads", "moonlet")


def generate(path: Path, seconds: int) -> None:
    """A pattern that moves, so that frames depend on each other as those of a film do."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(16, 216, (HEIGHT // 8 + 64, WIDTH // 8), dtype=np.uint8)
    # Grain, as a camera has it: without it nearly every block is a copy, which no film is.
    grains = [rng.integers(0, 20, (HEIGHT, WIDTH), dtype=np.uint8) for _ in range(7)]
    texture = np.kron(coarse, np.ones((8, 8), np.uint8))
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.bit_rate = BITS_PER_S
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(seconds * FPS):
            top = index % 512
            pixels = np.concatenate([texture[top : top + HEIGHT] + grains[index % 7], chroma])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="yuv420p")))
        container.mux(stream.encode())


def read_plain(path: Path, thread_type: str | None) -> None:
    """Decode everything, convert what the published rule samples."""
    wanted = set(open_video(from_path(path, "video"), MediaProcessorConfig(), MediaOptions()).plan.frame_indices)
    started = now()
    count = 0
    with av.open(str(path)) as container:
        if thread_type is not None:
            container.streams.video[0].thread_type = thread_type
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                count += len(frame.to_ndarray(format="rgb24")) > 0
    report(count, started)


def read_ours(path: Path) -> None:
    """Index, decode, resize and cut into patches."""
    started = now()
    video = open_video(from_path(path, "video"), MediaProcessorConfig(), MediaOptions())
    count = sum(item.grid.t for item in video.items())
    report(count, started)


def now() -> tuple[float, float]:
    """Seconds of the clock, and of all processors for this process."""
    return time.perf_counter(), time.process_time()


def report(num_frames: int, started: tuple[float, float]) -> None:
    seconds, cpu_seconds = (end - start for end, start in zip(now(), started, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"frames": num_frames, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak - BASE_BYTES}
    print(json.dumps(result))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(reader: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--reader", reader, "--keep", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="length of the clip")
    parser.add_argument("--keep", type=Path, help="where the clip is kept")
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader == "moonlet":
        read_ours(arguments.keep)
    elif arguments.reader is not None:
        read_plain(arguments.keep, "AUTO" if "all" in arguments.reader else None)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = arguments.keep or Path(folder) / "clip.mp4"
            if not path.exists():
                generate(path, arguments.seconds)
            compare(path)


def compare(path: Path) -> None:
    results = {reader: run(reader, path) for reader in READERS}
    ours = results["moonlet"]["seconds"]
    for reader, result in results.items():
        times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} s of processors"
        share = result["seconds"] / ours
        print(f"{reader}: {result['frames']} frames in {times}, {result['peak_bytes'] / 1e6:.0f} MB, ratio {share:.2f}")
    print(json.dumps({"clip_bytes": path.stat().st_size, "cpus": os.cpu_count(), **results}))


if __name__ == "__main__":
    BASE_BYTES = resident_bytes()
    main()
