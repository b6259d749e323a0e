#!/usr/bin/env bash
# Lints and tests the project: `bash scripts/test.sh [pytest options]`; VENV=path names a virtual environment to use.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements-dev.txt
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m pytest -q -n 2 --dist worksteal "$@"
