#!/usr/bin/env bash
# Something-Something V1 (something) and V2 (somethingv2), ResNet-50 from ImageNet:
#   bash scripts/published/something.sh DATASET-ROW [--list] [--dry_run] [--gpus N] [options of main.py]
# Schedule: TSM's for these sets; the paper's is not known. Test: the centre of every frame, one clip, as TSM's figures
# for V1 were published; the protocol of the others is not known.
datasets="something somethingv2"
schedule="--arch resnet50 --pretrain imagenet --epochs 50 --lr 0.01 --lr_steps 20 40 -b 64 --wd 5e-4 --dropout 0.5
    --gd 20 --npb --eval_freq 1"
test="--test_crops 1"
source="developer.qualcomm.com/software/ai-datasets"
rows="
tsn8          19.7  30.0  --num_segments 8  --cluster none
tsm8          45.6  59.1  --num_segments 8  --cluster none --shift
tsm16         47.2  63.4  --num_segments 16 --cluster none --shift
slope8        46.7  60.2  --num_segments 8  --cluster slope --shift
cumulative8   49.5  62.7  --num_segments 8  --cluster cumulative --shift
cumulative16  51.4  65.1  --num_segments 16 --cluster cumulative --shift
"
. "$(dirname "$0")/run.sh"
