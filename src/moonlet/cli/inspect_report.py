"""What `moonlet inspect` finds out, as values; how they are shown is the command's business."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from moonlet.checkpoint import open_checkpoint
from moonlet.checkpoint.checkpoint import Checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint, MmprojFile, config_with_vision, open_gguf, refuse_mmproj, vision_of
from moonlet.checkpoint.index import has_weights
from moonlet.config import ModelConfig, ModelOptions, load_model_config
from moonlet.errors import OutOfMemoryError
from moonlet.model import cost
from moonlet.model.machine import available_memory_bytes, total_memory_bytes
from moonlet.model.memory import MemoryPlan, plan_memory


@dataclass(frozen=True, slots=True)
class StoredTensors:
    """What the files hold."""

    num_files: int
    num_tensors: int
    num_bytes: int
    bytes_by_dtype: dict[str, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine offers, and what of the model fits. Exactly one of plan and refusal is set.

    refusal: why the model cannot run here with the given options.
    """

    cpu_count: int
    memory_bytes: int
    available_bytes: int
    plan: MemoryPlan | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything `inspect` shows. stored is None where the directory holds no weights.

    vision_file: the name of the file with a GGUF model's vision tower.
    """

    directory: Path
    config: ModelConfig
    stored: StoredTensors | None
    vision_file: str | None
    parameters: cost.Parts
    active_parameters: int
    weight_bytes: cost.Parts
    decode_traffic: cost.DecodeTraffic
    decode_traffic_int8: cost.DecodeTraffic
    kv_bytes_per_token: int
    decode_operations: int
    machine: Machine


def open_if_present(directory: Path) -> Checkpoint | GgufCheckpoint | None:
    """The verified checkpoint or .gguf file, or None where the directory holds model facts alone."""
    if directory.suffix == ".gguf" and not directory.is_dir():
        return open_gguf(directory)
    load_model_config(directory)
    return open_checkpoint(directory) if has_weights(directory) else None


def open_vision(
    directory: Path, checkpoint: Checkpoint | GgufCheckpoint | None, options: ModelOptions
) -> MmprojFile | None:
    """The verified file of a GGUF model's vision tower, if it has one."""
    if isinstance(checkpoint, GgufCheckpoint):
        return vision_of(checkpoint, options.mmproj)
    refuse_mmproj(directory, options.mmproj)
    return None


def make_report(
    directory: Path,
    checkpoint: Checkpoint | GgufCheckpoint | None,
    vision: MmprojFile | None,
    options: ModelOptions,
) -> Report:
    """Gather the facts.

    checkpoint, vision: as `open_if_present` and `open_vision` gave them.  options: what the plan for this machine
    assumes.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        config = config_with_vision(checkpoint, vision)
    else:
        config = load_model_config(directory) if checkpoint is None else checkpoint.config
    stored = None
    if checkpoint is not None:
        num_tensors = len(checkpoint.stored_names if isinstance(checkpoint, GgufCheckpoint) else checkpoint.names)
        stored = StoredTensors(len(checkpoint.files), num_tensors, checkpoint.num_bytes, checkpoint.bytes_by_dtype())
    sizes = cost.weight_bytes(config)
    expert_bytes = checkpoint.expert_bytes if isinstance(checkpoint, GgufCheckpoint) else sizes.routed_experts
    chosen = expert_bytes * config.text.num_experts_per_tok // config.text.n_routed_experts
    return Report(
        directory=directory,
        config=config,
        stored=stored,
        vision_file=None if vision is None else vision.path.name,
        parameters=cost.parameters(config),
        active_parameters=cost.active_parameters(config),
        weight_bytes=replace(sizes, routed_experts=expert_bytes),
        decode_traffic=replace(cost.decode_traffic(config, context_length=0), routed_experts=chosen),
        decode_traffic_int8=replace(cost.decode_traffic(config, context_length=0, dense="int8"), routed_experts=chosen),
        kv_bytes_per_token=cost.kv_bytes_per_token(config),
        decode_operations=cost.decode_operations(config, context_length=1),
        machine=_machine(config, options, expert_bytes),
    )


def _machine(config: ModelConfig, options: ModelOptions, expert_bytes: int) -> Machine:
    available = available_memory_bytes()
    plan, refusal = None, None
    try:
        plan = plan_memory(config, options, expert_bytes=expert_bytes)
    except OutOfMemoryError as error:
        refusal = str(error)
    return Machine(len(os.sched_getaffinity(0)), total_memory_bytes(), available, plan, refusal)
