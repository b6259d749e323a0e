# Sourced with requirement files as arguments: sets PYTHON to an interpreter that satisfies them.
# It is that of $VENV if set, else of the active virtual environment if that satisfies them, else of .venv. The environment
# is made, by $BASE_PYTHON (python3), and filled where needed.

satisfies() { # PYTHON -rFILE ...: nothing is missing (looks only at what is installed)
    [ -x "$1" ] && report=$("$1" -m pip install --dry-run --no-index "${@:2}" 2>/dev/null) &&
        [[ $report != *"Would install"* ]]
}

requirements=("${@/#/-r}")
if [ -z "${VENV:-}" ] && [ -n "${VIRTUAL_ENV:-}" ] && satisfies "$VIRTUAL_ENV/bin/python" "${requirements[@]}"; then
    VENV=$VIRTUAL_ENV
fi
VENV=${VENV:-.venv}
PYTHON=$VENV/bin/python
if ! satisfies "$PYTHON" "${requirements[@]}"; then
    if [ ! -x "$PYTHON" ]; then
        BASE_PYTHON=${BASE_PYTHON:-python3}
        "$BASE_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
            echo "error: $BASE_PYTHON is $("$BASE_PYTHON" --version), 3.10 or newer is needed; put a newer one first on the PATH" >&2
            exit 2
        }
        echo "making the virtual environment $VENV"
        "$BASE_PYTHON" -m venv "$VENV"
    fi
    echo "installing $* into $VENV (about 5 GB on Linux, some minutes)"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
fi
