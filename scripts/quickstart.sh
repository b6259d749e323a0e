#!/usr/bin/env bash
# Trains the paper's method, its controls and TSM on a small data set made here, and compares them.
# `bash scripts/quickstart.sh`; SEED=1 repeats all with other data, weights and order, BASE=even pre-trains with another
# clustering, VENV=path names the virtual environment to use.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements.txt requirements-plot.txt
SEED=${SEED:-0}
BASE=${BASE:-random}
DATA=data/quickstart$SEED
PATH=$(cd "$(dirname "$PYTHON")" && pwd):$PATH # so that the commands below are what a user would type

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

best() { # the run's best checkpoint: its name ends in the suffix given
    echo checkpoint/*_"qs$SEED-$BASE-$1"/ckpt.best.pth.tar
}

make_data() { # PRESET TRAIN VAL
    [ -d "$DATA/$1" ] || run python tools/make_move4mnist.py --out "$DATA/$1" --preset "$1" --digits glyphs \
        --num_train "$2" --num_val "$3" --seed "$SEED"
}

train() { # PRESET SUFFIX OPTIONS
    run python main.py movingmnist RGB --root_path "$DATA/$1" --arch resnet_thin --input_size 48 --num_segments 16 \
        --shift --shift_div 4 --npb --dropout 0 --gd 5 --crop_scales 1 0.875 -j 1 --seed "$SEED" --eval_freq 20 --overwrite \
        --suffix "qs$SEED-$BASE-$2" "${@:3}"
}

tune() { # METHOD OPTIONS
    train long "$1" -b 8 --lr 0.003 --lr_type cos --tune_from "$(best medium)" --scores "$DATA/$BASE-$1.npz" "${@:2}"
}

pair() { # METHOD METHOD: both at once, each on one core; what they print goes to files
    local method pids=()
    echo "training $1 and $2 at once; what they print: $DATA/$1.txt and $DATA/$2.txt"
    for method in "$@"; do
        OMP_NUM_THREADS=1 tune "$method" --cluster "$method" --epochs 3 >"$DATA/$method.txt" 2>&1 &
        pids+=($!)
    done
    for method in "$@"; do
        wait "${pids[0]}" || { tail -n 3 "$DATA/$method.txt" >&2 && exit 1; }
        pids=("${pids[@]:1}")
        grep "^best" "$DATA/$method.txt" || true
    done
}

echo "This takes about 5 minutes on 2 quiet CPU cores: three data sets, two stages of pre-training, five methods."
started=$SECONDS
make_data easy 1000 200
make_data medium 1000 200
make_data long 500 300

echo
echo "== Pre-training on 32 frames, with random cuts: every method below starts from these weights"
train easy easy --cluster "$BASE" --epochs 5 -b 16 --lr 0.02
train medium medium --cluster "$BASE" --epochs 3 -b 16 --lr 0.02 --lr_type cos --tune_from "$(best easy)"

echo
echo "== The same 128-frame videos and starting weights for all methods, 16 representations a video"
tune uniform --cluster none --epochs 8
pair random even
pair cumulative slope

echo
run python tools/compare_runs.py log/*_"qs$SEED-$BASE-"{uniform,random,even,cumulative,slope} \
    --picture images/quickstart.png --video "$DATA/long/val/left_0" --weights "$(best slope)"
run python tools/report.py log/*_"qs$SEED-$BASE-"{uniform,random,even,cumulative,slope} --strips 16 \
    --title "Quick start" --out "$DATA/report.html"
echo "took $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
