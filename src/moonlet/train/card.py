"""The model card: written by the export, its scores filled in by the evaluation, nothing typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from string import Template

from moonlet.errors import CheckpointError
from moonlet.train.mixture import Stage
from moonlet.train.options import EvaluateOptions, TrainOptions
from moonlet.train.scores import ScoreTable
from moonlet.train.shape import NanoShape

CARD_FILE = "README.md"
_TOWER = Template(
    """
The tower: $vt_num_hidden_layers layers of $vt_hidden_size, $vt_num_attention_heads heads, MLP $vt_intermediate_size,
position grid $init_pos_emb_height x $init_pos_emb_width x $init_pos_emb_time; one token is 28 x 28 pixels. It was shown
words and numbers on strips 28 pixels high, shapes on 84 x 84, bar charts 112 high, pairs of pictures of 56 x 56, clips
of at most 56 x 56 at two frames a second, and pages of boxes on 112 x 112. Pictures of other sizes and
kinds it does not understand."""
)
_SCORES_BEGIN, _SCORES_END = "<!-- scores: begin -->", "<!-- scores: end -->"


def write_card(
    folder: Path,
    shape: NanoShape,
    options: TrainOptions,
    stages: Sequence[Stage],
    step: int,
    init_from: Path | None = None,
) -> None:
    """Write the card of a fresh export; its scores stay open until `write_scores`."""
    rows = (
        f"| {stage.name} | {stage.steps} | {stage.lr_start:g} to {stage.lr_end:g} | {stage.level:g} "
        f"| {'yes' if stage.quantised else 'no'} |"
        for stage in stages
    )
    total = sum(stage.steps for stage in stages)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    flags = f"--seed {options.seed} --rows {options.rows} --row-tokens {options.row_tokens} --workers {options.workers}"
    values = {
        **asdict(shape),
        "eyes": "MoonViT for images and video" if shape.vision else "text only",
        "tower": _TOWER.substitute(asdict(shape.vision)) if shape.vision else "",
        "max_position_embeddings": shape.max_position_embeddings,
        "megabytes": f"{size / 1e6:.1f}",
        "rows": options.rows,
        "row_tokens": options.row_tokens,
        "steps": total if step == total else f"the first {step} of {total}",
        "stages": "\n".join(rows),
        "origin": "From random weights" if init_from is None else "From the weights of an earlier K25-nano",
        "command": f"moonlet train nano --output-dir OUT {flags}{'' if init_from is None else ' --init-from EARLIER'}",
    }
    template = resources.files("moonlet.train").joinpath("card_template.md").read_text(encoding="utf-8")
    (folder / CARD_FILE).write_text(Template(template).substitute(values), encoding="utf-8")


def write_scores(folder: Path, table: ScoreTable, options: EvaluateOptions) -> None:
    """Put measured scores into the card. Raises CheckpointError where there is no card with a place for them."""
    path = folder / CARD_FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    head, begin, rest = text.partition(_SCORES_BEGIN)
    _, end, tail = rest.partition(_SCORES_END)
    if not begin or not end:
        raise CheckpointError(f"{path}: no place for scores; expected the card that `moonlet train nano` writes")
    intro = (
        f"INT4 export, through the engine, greedy, up to {options.problems} held-out problems of each task and mode "
        f"(problem seed {options.problem_seed}):"
    )
    path.write_text(f"{head}{begin}\n{intro}\n\n{table.markdown()}\n{end}{tail}", encoding="utf-8")
