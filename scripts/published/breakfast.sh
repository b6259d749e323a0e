#!/usr/bin/env bash
# Breakfast, ResNet-50 from ImageNet, tested on persons 47 to 54:
#   bash scripts/published/breakfast.sh breakfast-ROW [--list] [--dry_run] [--gpus N] [options of main.py]
# Schedule: TSM's for Something-Something stands in; neither the paper's nor one of TSM's for this set is known. Videos
# have 2105 frames on average, so batches of all frames are small: 8 x 2105 x 224 x 224 x 3 bytes are 2.5 GB.
# Test: the centre of every frame, one clip; the published protocol is not known.
datasets="breakfast"
schedule="--arch resnet50 --pretrain imagenet --epochs 50 --lr 0.01 --lr_steps 20 40 -b 64 --wd 5e-4 --dropout 0.5
    --gd 20 --npb --eval_freq 1"
test="--test_crops 1"
source="serre-lab.clps.brown.edu/resource/breakfast-actions-dataset"
rows="
tsm16         72.1  --num_segments 16 --cluster none --shift
slope16       74.9  --num_segments 16 --cluster slope --shift -b 8 -j 4       | -b 1 -j 4
cumulative16  76.6  --num_segments 16 --cluster cumulative --shift -b 8 -j 4  | -b 1 -j 4
"
. "$(dirname "$0")/run.sh"
