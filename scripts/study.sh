#!/usr/bin/env bash
# Runs the study of docs/results.md and writes that page, its tables and figures: `bash scripts/study.sh [--quick]`; with
# `--study gestures --videos DIR` that of docs/gestures.md.
# What has been run is not run again. All of it takes about two hours on 2 cores; --quick takes 10 minutes and writes
# its page to study/docs. Other options are those of `python tools/study.py run --help`. VENV=path names the virtual
# environment to use.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements.txt requirements-plot.txt
"$PYTHON" tools/study.py run "$@"
case " $* " in *" --quick "*) out=study ;; *) out=. ;; esac
case " $* " in *" --study gestures "*) study=gestures ;; *) study=move4mnist ;; esac
"$PYTHON" tools/study.py report --study "$study" --out "$out"
