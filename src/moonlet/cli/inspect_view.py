"""The tables of `moonlet inspect`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moonlet.cli.inspect_report import Machine, Report
from moonlet.cli.units import count_text, size_text
from moonlet.model.cost import Parts

_PART_NAMES = {
    "embedding": "embedding",
    "attention": "attention",
    "dense_mlp": "dense layers",
    "shared_experts": "shared experts",
    "routed_experts": "routed experts",
    "router": "router",
    "norms": "norms",
    "lm_head": "output head",
    "vision": "vision",
}


class _OutputConsole(Console):
    """rich ends the process with code 1 when the reader has gone; how a run ends is decided in one place, `main`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(report: Report, checked: bool) -> None:
    """Print the report to standard output.  checked: whether every value has been read and found finite."""
    console = _OutputConsole(highlight=False)
    console.print(_facts("Model", _model_rows(report)))
    console.print(_parts(report))
    console.print(_facts("Files", _file_rows(report, checked)))
    console.print(_facts("One decoded token", _token_rows(report)))
    console.print(_facts("This machine", _machine_rows(report.machine)))
    unused = report.config.unused_keys
    if unused:
        where = "config.json" if report.directory.is_dir() else "the metadata"
        console.print(f"[dim]{len(unused)} keys of {where} are not used: {escape(', '.join(unused))}[/dim]")


def _facts(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False, title_style="bold")
    table.add_column(style="dim", min_width=18)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, escape(value))
    return table


def _model_rows(report: Report) -> Iterable[tuple[str, str]]:
    config, text = report.config, report.config.text
    yield "directory" if report.directory.is_dir() else "file", str(report.directory)
    yield "architecture", config.model_type
    dense = text.num_hidden_layers - text.num_moe_layers
    yield (
        "layers",
        f"{text.num_hidden_layers} ({dense} dense, {text.num_moe_layers} with experts), hidden {text.hidden_size:,}",
    )
    yield (
        "experts",
        f"{text.n_routed_experts} of {text.moe_intermediate_size:,} a layer, {text.num_experts_per_tok} chosen, "
        f"{text.n_shared_experts} shared",
    )
    yield (
        "attention",
        f"{text.num_attention_heads} heads, latent {text.kv_lora_rank} + {text.qk_rope_head_dim}, "
        f"query {text.q_lora_rank}",
    )
    yield "context", f"{text.max_position_embeddings:,} tokens; vocabulary {text.vocab_size:,}"
    scheme = config.quantization
    if report.directory.suffix != ".gguf":
        yield "experts stored", "BF16" if scheme is None else f"INT{scheme.num_bits}, groups of {scheme.group_size}"
    vision = config.vision
    if vision is not None:
        where = "" if report.vision_file is None else f"; from {report.vision_file}"
        shape = f"{vision.vt_num_hidden_layers} blocks of {vision.vt_hidden_size}, patch {vision.patch_size}"
        yield "vision", shape + where
    language = report.parameters.total - report.parameters.vision
    yield (
        "parameters",
        f"{count_text(language)} in the language model, {count_text(report.active_parameters)} active per token",
    )


def _parts(report: Report) -> Table:
    table = Table(title="Parts", title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("", style="dim", min_width=18)
    table.add_column("parameters", justify="right")
    table.add_column("bytes", justify="right")
    for part in fields(Parts):
        number = getattr(report.parameters, part.name)
        if number:
            size = getattr(report.weight_bytes, part.name)
            table.add_row(_PART_NAMES[part.name], count_text(number), size_text(size))
    table.add_row("in all", count_text(report.parameters.total), size_text(report.weight_bytes.total))
    return table


def _file_rows(report: Report, checked: bool) -> Iterable[tuple[str, str]]:
    stored = report.stored
    if stored is None:
        yield "weights", "absent: only the facts of config.json are shown"
        return
    yield "tensors", f"{stored.num_tensors:,} in {stored.num_files} files, {size_text(stored.num_bytes)}"
    yield "by type", ", ".join(f"{dtype} {size_text(size)}" for dtype, size in stored.bytes_by_dtype.items())
    yield "verified", "names, types and shapes" + (", and no NaN or infinity in any value" if checked else "")


def _token_rows(report: Report) -> Iterable[tuple[str, str]]:
    traffic, lighter = report.decode_traffic, report.decode_traffic_int8
    yield (
        "reads",
        f"{size_text(traffic.total)}: routed experts {size_text(traffic.routed_experts)}, "
        f"all else {size_text(traffic.other_weights)} ({size_text(lighter.other_weights)} with --dense int8)",
    )
    context = report.config.text.max_position_embeddings
    per_token = report.kv_bytes_per_token
    yield (
        "cache",
        f"{per_token / 1024:.1f} KiB a token of context, {size_text(per_token * context)} for all {context:,}",
    )
    yield "operations", f"{report.decode_operations / 1e9:.3g} billion at an empty context"


def _machine_rows(machine: Machine) -> Iterable[tuple[str, str]]:
    yield (
        "memory",
        f"{size_text(machine.available_bytes)} available of {size_text(machine.memory_bytes)}, "
        f"{machine.cpu_count} CPUs",
    )
    plan = machine.plan
    if plan is None:
        yield "fits", f"no: {machine.refusal}"
        return
    yield (
        "must be in memory",
        f"{size_text(plan.non_expert_bytes + plan.vision_bytes)} of weights, "
        f"{size_text(plan.workspace_bytes)} to work in",
    )
    yield "context", f"{plan.context_length:,} tokens fit, {size_text(plan.kv_bytes)} of cache when full"
    if plan.experts_fit:
        yield "routed experts", f"{size_text(plan.expert_bytes)}, all stay in memory"
        return
    share = plan.expert_room_bytes / plan.expert_bytes
    yield (
        "routed experts",
        f"{size_text(plan.expert_bytes)}, {share:.0%} stay in memory, the others are read from disk each time",
    )
