#!/usr/bin/env bash
# Learns the toy set as published, `--preset standard`, in stages, each from the weights of the one before: faster digits,
# then half a pixel a frame before backgrounds of all brightness; tests on the standard set as it is. What follows is given
# to tools/make_move4mnist.py for all sets:
#   bash scripts/standard.sh --mnist DIR --backgrounds DIR
# MODALITY=RGBDiff trains on differences of frames; CLUSTER=slope, even, random or none (TSM) cuts otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh requirements.txt
MODALITY=${MODALITY:-RGB}
CLUSTER=${CLUSTER:-cumulative}
DATA=data/standard
OPTIONS=("$@")

make_data() { # NAME TRAIN VAL OPTIONS
    [ -d "$DATA/$1" ] || "$PYTHON" tools/make_move4mnist.py --out "$DATA/$1" --num_train "$2" --num_val "$3" "${@:4}" \
        ${OPTIONS[@]+"${OPTIONS[@]}"}
}

train() { # NAME EPOCHS OPTIONS
    "$PYTHON" main.py movingmnist "$MODALITY" --root_path "$DATA/$1" --arch resnet_thin --input_size 64 --num_segments 16 \
        --cluster "$CLUSTER" --shift --shift_div 4 --npb --dropout 0 --gd 5 --crop_scales 1 --epochs "$2" -b 8 --lr 0.02 \
        --lr_type cos --eval_freq "$2" -j 1 --overwrite --suffix "$CLUSTER-$1" "${@:3}"
}

best() { # NAME: the stage's checkpoint
    echo checkpoint/*_"$MODALITY"_*_"$CLUSTER-$1"/ckpt.best.pth.tar
}

make_data easy 1000 300 --preset easy
make_data medium 1200 300 --preset medium
make_data bright 1000 600 --brightness 60-190
make_data standard 0 600
train easy 5
train medium 4 --tune_from "$(best easy)"
train bright 3 --tune_from "$(best medium)"
"$PYTHON" test_models.py movingmnist "$MODALITY" --root_path "$DATA/standard" --weights "$(best bright)" -j 1
