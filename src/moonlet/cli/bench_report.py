"""What `moonlet bench run` prints for people."""

from __future__ import annotations

from moonlet.cli.units import size_text
from moonlet.evals.speed import Row, Spread
from moonlet.kernels.ceiling import Ceiling


def ceiling_text(ceiling: Ceiling) -> str:
    """What the machine does at most."""
    return (
        f"ceilings: {ceiling.read_bytes_per_s / 1e9:.1f} GB/s read, {ceiling.int8_ops_per_s / 1e12:.3f} int8 Top/s, "
        f"{ceiling.float_ops_per_s / 1e12:.3f} bf16 or float32 Top/s"
    )


def header(rival: bool) -> str:
    """The line above the rows."""
    line = f"{'context':>8} {'prefill t/s':>11} {'of int8':>8} {'decode t/s':>11} {'low-high':>15}"
    line += f" {'limit':>8} {'share':>6}"
    return line + (f" {'rival':>9} {'ratio':>6} {'decode':>8} {'ratio':>6}" if rival else "")


def row_text(row: Row, of_int8: float | None, limit: float, share: float, rival: Row | None) -> str:
    """One context; ratios are ours over the rival's."""
    line = (
        f"{row.context:>8} {_speed(row.prefill):>11} {_percent(of_int8):>8} {row.decode.median:>11.2f} "
        f"{row.decode.low:>7.2f}-{row.decode.high:<7.2f} {limit:>8.1f} {share:>6.0%}"
    )
    if rival is None:
        return line
    return (
        f"{line} {_speed(rival.prefill):>9} {_ratio(row.prefill, rival.prefill):>6} "
        f"{rival.decode.median:>8.2f} {_ratio(row.decode, rival.decode):>6}"
    )


def memory_text(name: str, peak: int | None, mapped: int) -> str:
    """Peak memory beside the size of the mapped file."""
    if peak is None:
        return f"{name}: peak resident memory unknown on this system"
    return f"{name}: peak resident {size_text(peak)}, {peak / mapped - 1:+.0%} over the {size_text(mapped)} of the file"


def _speed(speed: Spread | None) -> str:
    return "-" if speed is None else f"{speed.median:.0f}" if speed.median >= 10 else f"{speed.median:.2f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _ratio(ours: Spread | None, theirs: Spread | None) -> str:
    return "-" if ours is None or theirs is None else f"{ours.median / theirs.median:.2f}x"
