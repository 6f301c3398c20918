#!/bin/sh
# Development build: compiles csrc/ into build/kernels and puts the module into src/moonlet/ for PYTHONPATH=src.
# Uses the Python named by $PYTHON, else .venv/bin/python of this checkout, else python3.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=$PWD/.venv/bin/python; else PYTHON=$(command -v python3); fi
fi
PATH="$(dirname "$PYTHON"):$PATH"
export PATH
[ -f build/kernels/build.ninja ] || cmake -S . -B build/kernels -G Ninja -DPython_EXECUTABLE="$PYTHON" \
    -DMOONLET_WERROR=ON -DMOONLET_IN_SOURCE=ON
exec cmake --build build/kernels
