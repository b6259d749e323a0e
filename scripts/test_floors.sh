#!/usr/bin/env bash
# Tests the project with the oldest releases that requirements.txt and those for plots, flow, explanations and export allow,
# on Python 3.10 if there is one or uv can bring it, else on python3: `bash scripts/test_floors.sh [pytest options]`.
# Everything is installed into .floors; VENV=path names another virtual environment to use.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .floors

find_python() { # prints the path of Python 3.10, or of python3
    local python
    for python in python3.10 ~/.pyenv/versions/3.10.*/bin/python; do
        "$python" -c 'import sys; print(sys.executable)' 2>/dev/null && return
    done
    export UV_PYTHON_INSTALL_DIR=$PWD/.floors/python
    python3 -m venv .floors/uv && .floors/uv/bin/pip install --quiet uv >&2 &&
        .floors/uv/bin/uv python install --quiet 3.10 && .floors/uv/bin/uv python find 3.10 && return
    echo "Python 3.10 cannot be had here: taking $(python3 --version)" >&2
    command -v python3
}

VENV=${VENV:-.floors/venv}
BASE_PYTHON=$(find_python)
sed '/^-r/d; s/>=/==/' requirements{,-plot,-flow,-explain,-export}.txt >.floors/constraints.txt
export PIP_CONSTRAINT=$PWD/.floors/constraints.txt
. scripts/venv.sh requirements-dev.txt
unset PIP_CONSTRAINT
"$PYTHON" -c 'import sys, torch; print(f"floors: Python {sys.version.split()[0]}, torch {torch.__version__}")'
"$PYTHON" -m pytest -q -n 2 --dist worksteal "$@"
