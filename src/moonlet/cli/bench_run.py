"""`moonlet bench run`: decode and prefill as shares of what the machine could do, beside a rival if asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import click

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.hub import resolve_model
from moonlet.cli.bench_formats import Subject, default_cache, find_subjects, format_names, open_model, prepare
from moonlet.cli.bench_report import ceiling_text, header, memory_text, row_text
from moonlet.cli.options import model_options
from moonlet.config import ModelOptions
from moonlet.engine.load import load_model
from moonlet.errors import OptionError, UserError
from moonlet.evals.speed import (
    Case,
    Contestant,
    OurModel,
    Row,
    decode_share,
    decode_tokens_per_s,
    json_line,
    machine_name,
    prefill_share,
    race,
    save_record,
    token_traffic,
)
from moonlet.evals.speed.laps import WARM_UP_TOKENS
from moonlet.evals.speed.memory import forget_peak, peak_resident_bytes
from moonlet.evals.speed.our_layer import OurLayer, layer_bytes, layer_operations
from moonlet.evals.speed.rivals import RIVALS, RivalProcess
from moonlet.kernels import Activations, Runtime
from moonlet.kernels.ceiling import Ceiling, measure_ceiling
from moonlet.model.cost import prefill_operations

_PROBE_BYTES = 1 << 28
"""Read before each lap: beyond any cache, and done in a moment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure on each model. rival: a key of RIVALS, or None."""

    contexts: tuple[int, ...]
    num_steps: int
    num_rounds: int
    rival: str | None
    rival_python: str
    options: ModelOptions
    rt: Runtime


def _counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Comma-separated whole numbers from 0."""
    parts = value.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"found {value!r}, expected whole numbers such as 0,512,4096")
    return tuple(int(part) for part in parts)


def _formats(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Comma-separated names of number formats."""
    names = tuple(part.strip().lower() for part in value.split(",")) if value else ()
    for name in names:
        if name not in format_names():
            raise click.BadParameter(f"found {name!r}, expected some of {', '.join(format_names())}")
    return names


@click.command(
    "run",
    epilog="Example: moonlet bench run /tmp/mid --formats int4,q4_0 --contexts 0,512 --rival llama.cpp",
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--contexts", callback=_counts, default="0,512,4096,16384", show_default=True, help="Cached tokens.")
@click.option("--steps", type=click.IntRange(min=1), default=32, show_default=True, help="Decode steps of a lap.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Laps at each context.")
@click.option(
    "--formats",
    callback=_formats,
    help="Measure each MODEL in these number formats, such as int4,q4_0,q4_k,q2_k,iq2_xxs,iq1_s,tq1_0.",
)
@click.option(
    "--non-experts",
    type=click.Choice(["bf16", "q8_0"]),
    default="q8_0",
    show_default=True,
    help="GGUF type of all else in the files made for --formats.",
)
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where those files stay; ~/.cache/moonlet/bench.")
@click.option("--rival", type=click.Choice(list(RIVALS)), help="Run this too, in turn with moonlet, and print ratios.")
@click.option("--rival-python", default=None, help="The interpreter that has the rival; this one if not given.")
@click.option("--save", is_flag=True, help="Add the result to the file of this machine and day in --results.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("bench/results"), show_default=True, help="For --save."
)
@model_options
def command(
    models: tuple[str, ...],
    contexts: tuple[int, ...],
    steps: int,
    rounds: int,
    formats: tuple[str, ...],
    non_experts: str,
    cache_dir: Path | None,
    rival: str | None,
    rival_python: str | None,
    save: bool,
    results: Path,
    options: ModelOptions,
) -> None:
    """Measure decode and prefill of each MODEL, a checkpoint directory or a .gguf file.

    The ceilings of this machine are measured first: bytes read from memory, int8 and float operations a second. Then,
    at each context, tokens per second and the share that they are of the ceilings, measured again before each lap. The
    last line is JSON.
    """
    if options.device != "cpu":
        raise OptionError(f"device is {options.device!r}, expected 'cpu': the ceilings measured are the processor's")
    paths = tuple(Path(model) if model.endswith(".gguf") else resolve_model(model) for model in models)
    subjects = find_subjects(paths, formats)
    rival_python = rival_python or sys.executable
    if rival is not None:
        if not any(_can_read(rival, subject) for subject in subjects):
            wanted = "a .gguf file; add q4_0 to --formats" if RIVALS[rival].reads == "gguf" else "a published directory"
            raise OptionError(f"rival {rival} reads none of the models given, expected {wanted}")
        # Said before minutes are spent: it may be absent.
        with RivalProcess(rival, rival_python) as found:
            click.echo(f"rival: {found.name}")
    rt = Runtime(options.num_threads, options.isa)
    click.echo(f"{machine_name()}, {rt.num_threads} threads, {rt.isa}")
    ceiling = measure_ceiling(rt)
    click.echo(ceiling_text(ceiling))
    plan = Plan(contexts, steps, rounds, rival, rival_python, options, rt)
    measured = []
    for subject in subjects:
        try:
            path = prepare(subject, non_experts, cache_dir or default_cache())
        except UserError as cause:
            if subject.number_format is None:
                raise
            click.echo(f"\n{subject.label}: skipped: {cause}")
            continue
        measured += _measure(subject, path, plan)
    facts = {"threads": rt.num_threads, "isa": rt.isa, "ceiling": asdict(ceiling), "models": measured}
    line = json_line("run", {**facts, "dense": options.dense, "activations": options.activations})
    if save:
        click.echo(f"\nkept in {save_record(results, line)}")
    click.echo(line)


def _can_read(rival: str, subject: Subject) -> bool:
    return (RIVALS[rival].reads == "gguf") == subject.is_gguf


def _measure(subject: Subject, path: Path, plan: Plan) -> list[dict[str, object]]:
    """The facts of one model, and of one layer of it where the rival has no more."""
    rival = plan.rival
    if rival is not None and not _can_read(rival, subject):
        click.echo(f"\n{subject.label}: {rival} does not read this form, measured alone")
        rival = None
    if rival is None or RIVALS[rival].whole_model:
        return [_measure_model(subject.label, path, plan, rival)]
    return [_measure_model(subject.label, path, plan, None), _measure_layer(subject.label, path, plan, rival)]


def _measure_model(label: str, path: Path, plan: Plan, rival: str | None) -> dict[str, object]:
    checkpoint = open_model(path)
    config, mapped = checkpoint.config, sum(file.stat().st_size for file in checkpoint.files)
    # What is stored in a GGUF file is what a step reads; --dense speaks of published checkpoints.
    traffic = token_traffic(checkpoint, plan.options.dense)
    case = _case(plan, plan.contexts, config.text.vocab_size, config.text.max_position_embeddings)
    forget_peak()
    started = time.perf_counter()
    options = replace(plan.options, context_length=max(case.context_length, plan.options.context_length or 0))
    model = load_model(path, options)
    load_s = time.perf_counter() - started
    click.echo(
        f"\n{label}: loaded in {load_s:.1f} s; a token reads {traffic.at(0) / 1e6:.0f} MB (experts "
        f"{traffic.routed_experts / 1e6:.0f}, the rest {traffic.other_weights / 1e6:.0f}) "
        f"and does {prefill_operations(config, 1) / 1e9:.2f} G operations"
    )
    with ExitStack() as stack:
        contestants: list[Contestant] = [OurModel(model, options.chunk_size)]
        other = stack.enter_context(RivalProcess(rival, plan.rival_python)) if rival is not None else None
        if other is not None:
            other.open(path, num_threads=plan.rt.num_threads, context_length=case.context_length)
            contestants.append(other)
        rows = _race(
            contestants,
            case,
            plan.rt,
            operations=lambda count: prefill_operations(config, count),
            traffic=traffic.at,
        )
        peak = peak_resident_bytes()
        click.echo(memory_text("moonlet", peak, mapped))
        if other is not None:
            click.echo(memory_text(other.name, other.peak_resident_bytes, mapped))
        return {
            "model": label,
            "load_s": load_s,
            "traffic": asdict(traffic),
            "mapped_bytes": mapped,
            "peak_resident_bytes": peak,
            "rival": other and {"name": other.name, "peak_resident_bytes": other.peak_resident_bytes},
            "rows": rows,
        }


def _measure_layer(label: str, path: Path, plan: Plan, rival: str) -> dict[str, object]:
    checkpoint = open_model(path)
    assert isinstance(checkpoint, Checkpoint)
    config = checkpoint.config
    # A layer knows no context: one pass of a prompt says all there is to know.
    contexts = tuple(dict.fromkeys(min(context, WARM_UP_TOKENS) for context in plan.contexts))
    case = _case(plan, contexts, config.text.vocab_size, config.text.max_position_embeddings)
    rt = Runtime(plan.options.num_threads, plan.options.isa)
    ours = OurLayer(checkpoint, rt, cast(Activations, plan.options.activations), plan.options.chunk_size)
    click.echo(f"\n{label}, one expert layer: a token reads {layer_bytes(config) / 1e6:.0f} MB")
    with RivalProcess(rival, plan.rival_python) as other:
        other.open(path, num_threads=plan.rt.num_threads, context_length=case.context_length)
        rows = _race(
            [ours, other],
            case,
            plan.rt,
            operations=lambda count: layer_operations(config, count),
            traffic=lambda _: layer_bytes(config),
        )
        return {"model": f"{label}, one expert layer", "rival": {"name": other.name}, "rows": rows}


def _case(plan: Plan, contexts: tuple[int, ...], vocab_size: int, most: int) -> Case:
    """Raises OptionError if the model holds none of the contexts."""
    room = most - plan.num_steps - 2
    fitting = tuple(context for context in contexts if context <= room)
    if not fitting or room < WARM_UP_TOKENS:
        raise OptionError(f"the model holds {most} tokens, expected room for a context and {plan.num_steps} steps")
    if len(fitting) < len(contexts):
        click.echo(f"contexts above {room} tokens are left out: the model holds {most}")
    return Case(fitting, plan.num_steps, plan.num_rounds, vocab_size)


def _race(
    contestants: list[Contestant],
    case: Case,
    rt: Runtime,
    operations: Callable[[int], int],
    traffic: Callable[[int], int],
) -> list[dict[str, object]]:
    """Print a line for each context and return the same as facts.

    operations: of a prompt of so many tokens.  traffic: bytes of a step after so many tokens.
    """
    click.echo(header(len(contestants) > 1))
    facts: list[dict[str, object]] = []
    for heat in race(contestants, case, lambda: measure_ceiling(rt, _PROBE_BYTES, num_repeats=3)):
        own, other = heat.rows[0], heat.rows[1] if len(heat.rows) > 1 else None
        limit = decode_tokens_per_s(heat.ceiling, traffic(own.context))
        share = decode_share(heat.ceiling, traffic(own.context), own.decode.median)
        of_int8 = _prefill_share(own, heat.ceiling, operations)
        click.echo(row_text(own, of_int8, limit, share, other))
        fact = {
            **asdict(own),
            "ceiling": asdict(heat.ceiling),
            "decode_limit": limit,
            "decode_share": share,
            "prefill_share_of_int8": of_int8,
        }
        facts.append(fact if other is None else {**fact, **_against(own, other)})
    return facts


def _prefill_share(row: Row, ceiling: Ceiling, operations: Callable[[int], int]) -> float | None:
    if row.prefill is None:
        return None
    return prefill_share(ceiling, operations(row.context), row.context / row.prefill.median)


def _against(own: Row, other: Row) -> dict[str, object]:
    prefill = own.prefill.median / other.prefill.median if own.prefill and other.prefill else None
    decode = own.decode.median / other.decode.median
    return {"rival": asdict(other), "prefill_ratio": prefill, "decode_ratio": decode}
