"""llama.cpp's server through xllamacpp, run by the interpreter that has it: rival_server.py MODEL THREADS SLOTS CONTEXT

Prints its address as a line of JSON, or why there is none, and serves until its standard input ends.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> None:
    model, num_threads, num_slots, context_length = sys.argv[1], *map(int, sys.argv[2:])
    try:
        binding: Any = importlib.import_module("xllamacpp")
    except ImportError as cause:
        print(json.dumps({"absent": str(cause)}), flush=True)
        return
    params = binding.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.port = context_length, num_slots, 0, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = num_threads
    server = binding.Server(params)
    name = f"llama.cpp server (xllamacpp {binding.__version__})"
    print(json.dumps({"name": name, "url": server.listening_address}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
