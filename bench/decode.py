"""Decode and prefill of a whole model, against what its bytes allow: `moonlet bench run` under its first name.

    moonlet bench make-checkpoint --preset mid /tmp/mid
    python bench/decode.py /tmp/mid
    python bench/decode.py /tmp/mid --dense int8 --contexts 0,4096

What it prints is explained in docs/bench.md.
"""

from __future__ import annotations

import sys

from moonlet.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["bench", "run", *sys.argv[1:]]))
