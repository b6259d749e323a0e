#!/usr/bin/env bash
# Something-Something V1 (something) and V2 (somethingv2), ResNet-50 from ImageNet:
#   bash scripts/published/something.sh DATASET-ROW [--list] [--costs] [--dry_run] [--gpus N] [options of main.py]
# Schedules: TSM's for these sets, also for the paper's rows, whose own is not known; TRN's and STM's (second-hand) for
# theirs. Tests: as the figures were published where that is known, else the centre of every frame and one clip.
datasets="something somethingv2"
frames=48 # of a video, for --costs: 4 s at 12 frames per second
all="--arch resnet50 --pretrain imagenet --wd 5e-4 --gd 20 --eval_freq 1"
tsm="$all --epochs 50 --lr 0.01 --lr_steps 20 40 -b 64 --dropout 0.5 --npb"
trn="$all --epochs 120 --lr 0.001 --lr_steps 50 100 -b 64 --dropout 0.8 --consensus_type TRNmultiscale"
stm="$all --epochs 50 --lr 0.01 --lr_steps 30 40 45 --dropout 0.5 --npb"
centre="--test_crops 1"
two_clips="--test_crops 3 --full_res --twice_sample"
thirty="--test_crops 3 --full_res --ten_sample"
source="developer.qualcomm.com/software/ai-datasets"
rows="
tsn8           19.7  30.0  $tsm --num_segments 8  --cluster none | $centre
trn8           38.9  48.8  $trn --num_segments 8  --cluster none --trn_mlps per_tuple | $centre
tsm8           45.6  59.1  $tsm --num_segments 8  --cluster none --shift | $centre
tsm16          47.2  .     $tsm --num_segments 16 --cluster none --shift | $centre
tsm16          .     63.4  $tsm --num_segments 16 --cluster none --shift | $two_clips
stm8_one_view  47.5  .     $stm --num_segments 8  --cluster none --temporal stm -b 64 | $centre
stm8           49.2  62.3  $stm --num_segments 8  --cluster none --temporal stm -b 64 | $thirty
stm16          50.7  64.2  $stm --num_segments 16 --cluster none --temporal stm -b 32 | $thirty
slope8         46.7  60.2  $tsm --num_segments 8  --cluster slope --shift | $centre
cumulative8    49.5  62.7  $tsm --num_segments 8  --cluster cumulative --shift | $centre
cumulative16   51.4  65.1  $tsm --num_segments 16 --cluster cumulative --shift | $centre
"
. "$(dirname "$0")/run.sh"
