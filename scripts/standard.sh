#!/usr/bin/env bash
# Learns the toy set as published, `--preset standard`, in three stages: faster digits first, each stage from the weights of
# the one before. What follows is given to tools/make_move4mnist.py for all three sets:
#   bash scripts/standard.sh --mnist DIR --backgrounds DIR
# MODALITY=RGB trains on frames instead of their differences; CLUSTER=slope, even, random or none (TSM) cuts otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements.txt
MODALITY=${MODALITY:-RGBDiff}
CLUSTER=${CLUSTER:-cumulative}
DATA=data/standard
OPTIONS=("$@")

stage() { # PRESET TRAIN VAL EPOCHS OPTIONS
    [ -d "$DATA/$1" ] || "$PYTHON" tools/make_move4mnist.py --out "$DATA/$1" --preset "$1" --num_train "$2" --num_val "$3" \
        ${OPTIONS[@]+"${OPTIONS[@]}"}
    "$PYTHON" main.py movingmnist "$MODALITY" --root_path "$DATA/$1" --arch resnet_thin --input_size 64 --num_segments 16 \
        --cluster "$CLUSTER" --shift --shift_div 4 --npb --dropout 0 --gd 5 --crop_scales 1 --epochs "$4" -b 8 --lr 0.02 \
        --lr_type cos --eval_freq 1 -j 1 --overwrite --suffix "stage-$1" "${@:5}"
}

best() { # the newest checkpoint of a stage
    ls -t checkpoint/*_"$MODALITY"_*_"$CLUSTER"*_"stage-$1"/ckpt.best.pth.tar | head -n 1
}

stage easy 1000 300 4
stage medium 1200 300 4 --tune_from "$(best easy)"
stage standard 1800 600 8 --tune_from "$(best medium)"
