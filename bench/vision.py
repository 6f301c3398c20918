"""The vision tower and its projector at K2.5's shape on one picture, against the machine and against transformers.

    python bench/vision.py                                         # 1792 x 1792 pixels: 16,384 patches, 4,096 tokens
    python bench/vision.py --side 448 --layers 4                   # minutes become seconds
    python bench/vision.py --rival-python /path/to/python          # in turn with transformers, where that has it

Prints the operations and the measured peak first, then for each contestant the median and the spread over rounds, the
processor time, the share of the peak and the most memory held, then one JSON line. Weights are random, in the published
layout, the same file for both; the rival's features are compared with ours, so that both do the same work.

Limits: on a machine shared with others compare processor seconds, which wait for nobody, rather than seconds. The peak
is that of 512 x 512 products. Memory is that of the whole process with libraries and weights; `working` is what a lap
adds to what was resident before it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

K25 = {
    "init_pos_emb_height": 64,
    "init_pos_emb_width": 64,
    "init_pos_emb_time": 4,
    "merge_kernel_size": (2, 2),
    "merge_type": "sd2_tpool",
    "mm_hidden_size": 1152,
    "mm_projector_type": "patchmerger",
    "patch_size": 14,
    "pos_emb_type": "divided_fixed",
    "projector_hidden_act": "gelu",
    "projector_ln_eps": 1e-5,
    "text_hidden_size": 7168,
    "video_attn_type": "spatial_temporal",
    "vt_hidden_size": 1152,
    "vt_intermediate_size": 4304,
    "vt_num_attention_heads": 16,
    "vt_num_hidden_layers": 27,
}
"""vision_config as published."""


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (at the worst moment) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def lap(run: Any) -> dict[str, Any]:
    """One run, timed: seconds, processor seconds of all threads, bytes at the worst moment and beyond the start."""
    Path("/proc/self/clear_refs").write_text("5")
    before, start, cpu = resident_bytes("VmRSS"), time.perf_counter(), time.process_time()
    run()
    peak = resident_bytes("VmHWM")
    return {
        "s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_bytes": peak,
        "working_bytes": peak - before,
    }


def worker() -> int:
    """One contestant in a process of its own: facts in, then a lap a line."""
    facts = json.loads(sys.stdin.readline())
    torch.set_num_threads(facts["threads"])
    torch.manual_seed(0)
    pixels = torch.rand(facts["side"] ** 2, 3, 14, 14) * 2 - 1
    try:
        run = (open_transformers if facts["rival"] else open_moonlet)(facts)
    except ImportError as cause:
        print(json.dumps({"absent": str(cause)}), flush=True)
        return 0
    print(json.dumps({"ready": True}), flush=True)
    with torch.inference_mode():
        for _ in sys.stdin:
            found: list[torch.Tensor] = []
            answer = lap(lambda: found.append(run(pixels)))  # noqa: B023 (run at once)
            torch.save(found[0].float(), facts["features"])
            print(json.dumps(answer), flush=True)
    return 0


def open_moonlet(facts: dict[str, Any]) -> Any:
    from safetensors import safe_open

    from moonlet.config import VisionConfig
    from moonlet.engine.vision import vision_operations
    from moonlet.kernels import Runtime
    from moonlet.kernels.ops import CpuOps
    from moonlet.model.vision import Grid, VisionItem, VisionModel, bind_vision_weights

    config = VisionConfig(**{**facts["config"], "merge_kernel_size": (2, 2)})
    with safe_open(facts["weights"], "pt") as file:
        weights = bind_vision_weights(config, file.get_tensor)
    ops = vision_operations(CpuOps(Runtime(facts["threads"])))
    model = VisionModel(config, weights, ops)
    grid = Grid(1, facts["side"], facts["side"])
    return lambda pixels: model.encode([VisionItem(pixels, grid)])[0]


def open_transformers(facts: dict[str, Any]) -> Any:
    from safetensors.torch import load_file
    from transformers import Kimi_K25Config, Kimi_K25VisionConfig
    from transformers.models.kimi_k25 import modeling_kimi_k25 as kimi

    ours, dtype = facts["config"], getattr(torch, facts["dtype"])
    vision = Kimi_K25VisionConfig(
        num_hidden_layers=ours["vt_num_hidden_layers"],
        hidden_size=ours["vt_hidden_size"],
        intermediate_size=ours["vt_intermediate_size"],
        num_attention_heads=ours["vt_num_attention_heads"],
        attn_implementation="sdpa",
    )
    whole = Kimi_K25Config(
        vision_config=vision,
        text_config={"model_type": "deepseek_v3", "hidden_size": ours["text_hidden_size"]},
        projection_hidden_size=ours["mm_hidden_size"],
    )
    with torch.device("meta"):
        tower, projector = kimi.Kimi_K25VisionModel(vision), kimi.Kimi_K25MultimodalProjection(whole)
    stored = load_file(facts["weights"])
    heads = ours["vt_num_attention_heads"]
    renamed: dict[str, torch.Tensor] = {}
    for name in list(stored):
        tensor = stored.pop(name).to(dtype)
        new = name.replace("vision_tower.", "").replace("encoder.", "").replace("blocks.", "layers.")
        new = new.replace("pos_emb.weight", "pos_emb.position_embeddings").replace(".wo.", ".attn.proj.")
        new = new.replace("norm1", "norm2").replace("norm0", "norm1")
        new = new.replace("mlp.fc1", "mlp.fc2").replace("mlp.fc0", "mlp.fc1")
        new = new.replace("mm_projector.proj.0", "mm_projector.in_proj").replace("proj.2", "out_proj")
        if ".wqkv." not in new:
            renamed[new] = tensor
            continue
        for part, rows in zip("qkv", tensor.chunk(3), strict=True):
            # transformers rotates the halves of a head, not neighbouring channels.
            halves = rows.view(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
            renamed[new.replace(".wqkv.", f".attn.{part}_proj.")] = rows.clone() if part == "v" else halves
    in_projector = {name.removeprefix("mm_projector."): t for name, t in renamed.items() if "mm_projector" in name}
    in_tower = {name: t for name, t in renamed.items() if "mm_projector" not in name}
    renamed.clear()
    in_tower["patch_embed.pos_emb.time_position_embeddings"] = kimi.Kimi_K25VisionPositionEmbeddings(
        vision
    ).compute_pos_embed()
    tower.load_state_dict(in_tower, assign=True, strict=False)
    projector.load_state_dict(in_projector, assign=True)
    # Tables that no checkpoint holds.
    tower.rotary_emb = kimi.Kimi_K25VisionRotaryEmbedding(vision)
    tower.patch_embed.pos_emb.time_position_embeddings = in_tower["patch_embed.pos_emb.time_position_embeddings"]
    tower.eval()
    grid = torch.tensor([[1, facts["side"], facts["side"]]])
    return lambda pixels: projector(tower(pixels.to(dtype), grid).pooler_output).squeeze(1)


class Contestant:
    """A worker process."""

    def __init__(self, name: str, python: str, facts: dict[str, Any]) -> None:
        self.name, self.facts, self.laps = name, facts, []
        command = [python, __file__, "--as-worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.absent = self._ask(facts).get("absent")

    def run(self, *, counted: bool) -> None:
        answer = self._ask({})
        if counted:
            self.laps.append(answer)

    def close(self) -> None:
        self._process.communicate()

    def median(self, fact: str) -> float:
        return statistics.median(one[fact] for one in self.laps)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} ended without an answer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1792, help="pixels along each side, a multiple of 28")
    parser.add_argument("--layers", type=int, default=27)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rival-python", help="an interpreter that has transformers and torch")
    parser.add_argument("--rival-dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_worker:
        return worker()
    if args.side % 28:
        parser.error(f"--side {args.side}: expected a multiple of 28")

    from safetensors.torch import save_file

    from moonlet.checkpoint.layout import vision_layout
    from moonlet.checkpoint.random_weights import random_weights
    from moonlet.config import VisionConfig
    from moonlet.evals.speed import json_line, machine_name
    from moonlet.kernels import Runtime
    from moonlet.kernels.ceiling import measure_float
    from moonlet.model.cost import vision_operations
    from moonlet.model.vision import Grid

    shape = {**K25, "vt_num_hidden_layers": args.layers}
    config = VisionConfig(**shape)
    side = args.side // 14
    operations = vision_operations(config, Grid(1, side, side))
    rt = Runtime(args.threads)
    peak = max(measure_float(rt) for _ in range(5))
    print(f"{machine_name()}, {rt.num_threads} threads; {side * side:,} patches, {args.layers} layers")
    print(
        f"{operations.total / 1e12:.2f} T operations: linear layers {operations.linears / 1e12:.2f}, "
        f"attention {operations.attention / 1e12:.2f}; peak {peak / 1e12:.3f} Top/s, "
        f"so at least {operations.total / peak:.1f} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "vision.safetensors"
        draw = random_weights(0)
        save_file({name: draw(name, spec) for name, spec in vision_layout(config).items()}, weights)
        facts = {"config": shape, "weights": str(weights), "side": side, "threads": args.threads}
        facts["dtype"] = args.rival_dtype
        contestants = [Contestant("moonlet", sys.executable, {**facts, "rival": False, "features": f"{folder}/ours"})]
        if args.rival_python is not None:
            theirs = {**facts, "rival": True, "features": f"{folder}/theirs"}
            rival = Contestant(f"transformers {args.rival_dtype}", args.rival_python, theirs)
            if rival.absent is not None:
                parser.error(f"--rival-python {args.rival_python}: {rival.absent}; install transformers there")
            contestants.append(rival)
        for round_idx in range(args.rounds + (args.rounds > 1)):
            for one in contestants:
                one.run(counted=round_idx > 0 or args.rounds == 1)
        for one in contestants:
            one.close()
        results = [torch.load(one.facts["features"]) for one in contestants]
    for one in contestants:
        seconds = [found["s"] for found in one.laps]
        print(
            f"{one.name}: {one.median('s'):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{one.median('cpu_s'):.2f} processor s; {operations.total / one.median('s') / peak:.0%} of the peak; "
            f"peak {one.median('peak_bytes') / 1e9:.2f} GB, working {one.median('working_bytes') / 1e9:.2f} GB"
        )
    summary: dict[str, Any] = {"side": args.side, "layers": args.layers, "threads": args.threads, "peak": peak}
    summary |= {"operations": operations.total, "laps": {one.name: one.laps for one in contestants}}
    if len(contestants) == 2:
        ours, theirs = contestants
        difference = (results[0] - results[1]).abs().max() / results[1].abs().max()
        ratios = {fact: theirs.median(fact) / ours.median(fact) for fact in ours.laps[0]}
        summary |= {"ratios": ratios, "difference": float(difference)}
        print(
            f"ratio {ratios['s']:.2f} by time, {ratios['cpu_s']:.2f} by processor time; memory "
            f"{1 / ratios['peak_bytes']:.2f} of the rival's, working {1 / ratios['working_bytes']:.2f}; "
            f"features differ by {difference:.1%} of the largest"
        )
    print(json_line("vision", summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
