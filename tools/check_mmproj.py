"""Does llama.cpp open a vision file written here, and see in it what moonlet sees?

    python tools/check_mmproj.py DIRECTORY                       a published checkpoint with a vision tower
    python tools/check_mmproj.py DIRECTORY --rival-python /path/to/python

Converts it to a temporary GGUF model (Q8_0 experts, BF16 rest) and its mmproj file (F32), shows both programs the same
picture of noise, whose sides no program has to change, and compares the probabilities of the token after it. Needs
`xllamacpp` in this interpreter or in the one named by --rival-python; says so and ends with 0 where it is not there.
Ends with 1 if llama.cpp refuses a file or sees something else.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SIDES = (84, 112)
"""Height and width of the picture: multiples of 28, so nothing is resized or padded."""
TEXT = " what"
TOP = 8
ALLOWED = 0.34
"""Share of the picture's own effect by which the two may differ: llama.cpp computes with INT8 activations and an F16
cache, and with the tanh form of GELU in the projector, where the published one is exact."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="a directory with a vision tower")
    parser.add_argument("--rival-python", default=sys.executable, help="an interpreter that has xllamacpp")
    parser.add_argument("--as-rival", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.as_rival:
        return answer_as_rival()
    if options.model is None:
        parser.error("give the directory of a checkpoint with a vision tower")
    with tempfile.TemporaryDirectory() as folder:
        model = convert(options.model, Path(folder))
        picture = noise()
        ours, blind = probabilities(model, picture), probabilities(model, None)
        question = {"model": str(model), "mmproj": str(model.with_name("mmproj-model.gguf")), "text": TEXT}
        question |= {"picture": base64.b64encode(as_png(picture)).decode(), "top": TOP}
        command = [options.rival_python, __file__, "--as-rival"]
        done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        print(f"llama.cpp did not answer (exit {done.returncode}):\n{done.stderr[-3000:]}")
        return 1
    return report(json.loads(lines[-1]), ours, blind)


def convert(directory: Path, folder: Path) -> Path:
    from moonlet.cli.main import run

    target = folder / "model.gguf"
    if run(["convert", str(directory), str(target), "--to", "q8_0", "--vision", "f32"]) != 0:
        raise SystemExit(f"{directory} could not be converted")
    return target


def noise() -> object:
    """[height, width, 3] uint8: blocks of colour, the same every time."""
    import torch

    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 256, (SIDES[0] // 7, SIDES[1] // 7, 3), generator=generator, dtype=torch.uint8)
    return blocks.repeat_interleave(7, 0).repeat_interleave(7, 1)


def as_png(picture: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture.numpy()).save(file, "PNG")
    return file.getvalue()


def probabilities(model: Path, picture: object) -> list[float]:
    """moonlet's log-probabilities of every token after the picture and the text; without a picture, the text's."""
    import torch

    from moonlet.config import EngineOptions
    from moonlet.engine.load import load_model
    from moonlet.model import ForwardBatch, GivenEmbeddings
    from moonlet.model.vision import Grid, VisionItem

    loaded = load_model(model, EngineOptions(reference=True, context_length=1024))
    text = list(loaded.tokenizer.encode(TEXT))
    rows = None
    if picture is not None:
        height, width = (side // 14 for side in SIDES)
        scaled = (picture.float() / 255 - 0.5) / 0.5
        patches = scaled.view(height, 14, width, 14, 3).permute(0, 2, 4, 1, 3).reshape(-1, 3, 14, 14).contiguous()
        (features,) = loaded.vision.encode([VisionItem(patches, Grid(1, height, width))])
        begin, end = (loaded.tokenizer.special_ids[f"<|media_{part}|>"] for part in ("begin", "end"))
        pads = [loaded.config.media_placeholder_token_id] * len(features)
        text = [begin, *pads, end, *text]
        rows = GivenEmbeddings(torch.arange(1, 1 + len(features)), features)
    order = torch.arange(len(text))
    num_pages = -(-len(text) // 64)
    batch = ForwardBatch(
        input_ids=torch.tensor(text),
        positions=order,
        slots=order,
        page_tables=torch.arange(num_pages, dtype=torch.int32)[None],
        seq_idx=torch.zeros(len(text), dtype=torch.int32),
        context_lens=(order + 1).to(torch.int32),
        logits_rows=order[-1:],
        given=rows,
    )
    return loaded.forward(batch, loaded.new_cache(num_pages))[0].log_softmax(-1).tolist()


def answer_as_rival() -> int:
    """Runs where the bindings are: a question in on stdin, an answer out on stdout as a JSON line."""
    question = json.loads(sys.stdin.read())
    try:
        import xllamacpp
    except ImportError:
        print(json.dumps({"skipped": "xllamacpp is not installed in this interpreter"}))
        return 0
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = question["model"], question["mmproj"]
    params.n_ctx, params.n_gpu_layers, params.warmup, params.mmproj_use_gpu = 1024, 0, False, False
    # The message itself is the prompt.
    params.use_jinja = True
    params.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    server = xllamacpp.Server(params)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + question["picture"]}}
    text = {"type": "text", "text": question["text"]}
    found = []
    for content in ([picture, text], [text]):
        request = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": question["top"],
            "cache_prompt": False,
        }
        reply = server.handle_chat_completions(request)
        if "choices" not in reply:
            print("\n" + json.dumps({"refused": str(reply)[:500]}), flush=True)
            return 0
        # A token that ends the reply, or whose bytes are half a character, is not reported.
        content = (reply["choices"][0].get("logprobs") or {}).get("content")
        found.append({one["id"]: one["logprob"] for one in content[0]["top_logprobs"]} if content else {})
    name = f"xllamacpp {xllamacpp.__version__}"
    print("\n" + json.dumps({"name": name, "seen": found[0], "blind": found[1]}), flush=True)
    return 0


def report(answer: dict[str, object], ours: list[float], blind: list[float]) -> int:
    if "skipped" in answer:
        print(f"skipped: {answer['skipped']}")
        return 0
    if "refused" in answer:
        print(f"llama.cpp refused: {answer['refused']}")
        return 1
    seen, unseen = ({int(token_id): value for token_id, value in answer[kind].items()} for kind in ("seen", "blind"))
    if not seen:
        print("llama.cpp opened both files but did not report its first token; try another checkpoint")
        return 1
    differ = max(abs(value - ours[token_id]) for token_id, value in seen.items())
    changed = max(abs(blind[token_id] - ours[token_id]) for token_id in seen)
    print(
        f"{answer['name']} opened both files. Log-probabilities of its {len(seen)} likeliest tokens differ from "
        f"moonlet's by at most {differ:.3f} after the picture, which itself changes them by {changed:.3f}"
    )
    if unseen:
        text_differs = max(abs(value - blind[token_id]) for token_id, value in unseen.items())
        print(f"without a picture they differ by at most {text_differs:.3f}")
    return 0 if differ < ALLOWED * changed else 1


if __name__ == "__main__":
    sys.exit(main())
