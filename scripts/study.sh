#!/usr/bin/env bash
# Runs the study of docs/results.md and writes that page, its tables and figures: `bash scripts/study.sh [--quick]`.
# What has been run is not run again. All of it takes about two hours on 2 cores, --quick 10 minutes; other options are
# those of `python tools/study.py run --help`. VENV=path names the virtual environment to use.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements.txt requirements-plot.txt
"$PYTHON" tools/study.py run "$@"
"$PYTHON" tools/study.py report
