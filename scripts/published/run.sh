# Sourced by the tables beside it, which set $datasets, $frames, $source and $rows: runs a row, or lists them.
# PYTHON=path names the interpreter; without it, requirements.txt is installed where needed, as in the quick start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -z "${PYTHON:-}" ]; then
    . scripts/venv.sh requirements.txt
fi
exec "$PYTHON" scripts/published/run.py "$0" "$datasets" "$frames" "$source" "$rows" "$@"
