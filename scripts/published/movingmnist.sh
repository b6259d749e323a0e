#!/usr/bin/env bash
# Move4MNIST, ResNet-18 from ImageNet, the command that the paper's code documents; data/movingmnist is generated:
#   bash scripts/published/movingmnist.sh movingmnist-ROW [--list] [--costs] [--dry_run] [--gpus N] [options of main.py]
# Schedule: the paper's code; six epochs on sampled frames, and the rate stays, for its steps lie beyond the end.
datasets="movingmnist"
frames=32 # of a video, for --costs
paper="--arch resnet18 --pretrain imagenet --epochs 40 --lr 0.001 --lr_steps 50 100 -b 16 --wd 5e-4 --dropout 0.8"
paper="$paper --gd 20 --npb --eval_freq 1"
source=""
rows="
cumulative16  -  $paper --num_segments 16 --cluster cumulative --cluster_start_epoch 6 --shift | --test_crops 1
"
. "$(dirname "$0")/run.sh"
