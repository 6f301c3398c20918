"""Does llama.cpp open a file written here, and choose the same tokens?

    python tools/check_llama_cpp.py                          the embedded K25-nano, converted to a temporary Q4_0 file
    python tools/check_llama_cpp.py MODEL.gguf --prompt "hi"

moonlet answers greedily on its reference path (float32). llama.cpp is then asked, after each of those tokens, which
one it would choose next. Needs `xllamacpp` or `llama-cpp-python` in this interpreter or in the one named by
--rival-python; says so and ends with 0 where neither is there. Ends with 1 if llama.cpp refuses the file or disagrees
where moonlet was sure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

SURE = 0.5
"""A margin between the two best logits above which rounding (llama.cpp's INT8 activations, F16 cache) cannot decide."""

NextToken = Callable[[list[int]], int | None]
"""The likeliest token after these, or None where the rival does not say."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="a .gguf file; the converted K25-nano if not given")
    parser.add_argument("--prompt", default="which one is bigger, 9.11 or 9.9?")
    parser.add_argument("--tokens", type=int, default=32, help="tokens to compare")
    parser.add_argument("--rival-python", default=sys.executable, help="an interpreter that has llama.cpp bindings")
    parser.add_argument("--as-rival", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.as_rival:
        return answer_as_rival()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or convert_nano(Path(folder))
        prompt, chosen, margins = greedy_tokens(model, options.prompt, options.tokens)
        question = json.dumps({"model": str(model), "prompt": prompt, "chosen": chosen})
        command = [options.rival_python, __file__, "--as-rival"]
        done = subprocess.run(command, input=question, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            print(f"llama.cpp did not answer (exit {done.returncode}):\n{done.stderr[-2000:]}")
            return 1
        return report(json.loads(lines[-1]), chosen, margins)


def convert_nano(folder: Path) -> Path:
    from moonlet.checkpoint.hub import resolve_model
    from moonlet.cli.main import run

    target = folder / "k25-nano-q4_0.gguf"
    if run(["convert", str(resolve_model(None)), str(target), "--to", "q4_0"]) != 0:
        raise SystemExit("K25-nano could not be converted")
    return target


def greedy_tokens(model: Path, prompt: str, count: int) -> tuple[list[int], list[int], list[float]]:
    """The prompt's ids, moonlet's greedy continuation, and how sure it was of each token."""
    import torch

    from moonlet.chat.messages import parse_messages
    from moonlet.config import EngineOptions
    from moonlet.engine.load import load_model
    from moonlet.model import ForwardBatch

    loaded = load_model(model, EngineOptions(reference=True, context_length=2048))
    rendered = loaded.template.render(parse_messages([{"role": "user", "content": prompt}]))
    ids = list(rendered.ids)
    cache = loaded.new_cache(-(-(len(ids) + count) // 64))
    table = torch.arange(-(-(len(ids) + count) // 64), dtype=torch.int32)[None]
    chosen: list[int] = []
    margins: list[float] = []
    pending, position = ids, 0
    while len(chosen) < count:
        positions = torch.arange(position, position + len(pending))
        batch = ForwardBatch(
            input_ids=torch.tensor(pending),
            positions=positions,
            slots=positions,
            page_tables=table,
            seq_idx=torch.zeros(len(pending), dtype=torch.int32),
            context_lens=(positions + 1).to(torch.int32),
            logits_rows=torch.tensor([len(pending) - 1]),
        )
        best = loaded.forward(batch, cache)[0].topk(2)
        chosen.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        position += len(pending)
        pending = chosen[-1:]
        if chosen[-1] in loaded.config.text.eos_token_ids:
            break
    return ids, chosen, margins


def answer_as_rival() -> int:
    """Runs where the bindings are: a question in on stdin, an answer out on stdout as a JSON line."""
    question = json.loads(sys.stdin.read())
    rival = open_rival(question["model"])
    if rival is None:
        print(json.dumps({"skipped": "neither xllamacpp nor llama-cpp-python is installed in this interpreter"}))
        return 0
    name, next_token = rival
    prompt, chosen = question["prompt"], question["chosen"]
    found = [next_token(prompt + chosen[:i]) for i in range(len(chosen))]
    print("\n" + json.dumps({"name": name, "found": found}), flush=True)
    return 0


def open_rival(model: str) -> tuple[str, NextToken] | None:
    try:
        import xllamacpp
    except ImportError:
        pass
    else:
        return f"xllamacpp {xllamacpp.__version__}", xllamacpp_next(xllamacpp, model)
    try:
        import llama_cpp
    except ImportError:
        return None
    return f"llama-cpp-python {llama_cpp.__version__}", llama_cpp_python_next(llama_cpp, model)


def xllamacpp_next(xllamacpp: object, model: str) -> NextToken:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_gpu_layers, params.warmup = 2048, 0, False
    server = xllamacpp.Server(params)

    def next_token(ids: list[int]) -> int | None:
        request = {"prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "cache_prompt": False}
        reply = server.handle_completions(request)
        content = (reply["choices"][0].get("logprobs") or {}).get("content")
        # A token that ends the reply, or whose bytes are half a character, is not reported.
        return content[0]["top_logprobs"][0]["id"] if content else None

    return next_token


def llama_cpp_python_next(llama_cpp: object, model: str) -> NextToken:
    llama = llama_cpp.Llama(model_path=model, n_ctx=2048, n_gpu_layers=0, logits_all=True, verbose=False)

    def next_token(ids: list[int]) -> int | None:
        llama.reset()
        llama.eval(ids)
        return int(llama.scores[len(ids) - 1].argmax())

    return next_token


def report(answer: dict[str, object], chosen: list[int], margins: list[float]) -> int:
    if "skipped" in answer:
        print(f"skipped: {answer['skipped']}")
        return 0
    found = answer["found"]
    known = [i for i, token in enumerate(found) if token is not None]
    differ = [i for i in known if found[i] != chosen[i]]
    sure = [i for i in differ if margins[i] > SURE]
    print(f"{answer['name']} opened the file and chose the same token {len(known) - len(differ)} of {len(known)} times")
    print(f"({len(chosen) - len(known)} not reported; smallest margin {min(margins):.3f})")
    for i in differ:
        print(f"  token {i}: moonlet {chosen[i]}, llama.cpp {found[i]}, moonlet's margin {margins[i]:.4f}")
    return 1 if sure else 0


if __name__ == "__main__":
    sys.exit(main())
