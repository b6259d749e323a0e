#!/usr/bin/env bash
# Breakfast, from ImageNet, tested on persons 47 to 54, 355 videos: published accuracies are whole numbers of these.
#   bash scripts/published/breakfast.sh breakfast-ROW [--list] [--costs] [--dry_run] [--gpus N] [options of main.py]
# ResNet-50 on frames: TSM's schedule for Something-Something stands in; neither the paper's nor one of TSM's for this set
# is known. Videos have 2105 frames on average, so batches of all frames are small: 8 x 2105 x 224 x 224 x 3 bytes are
# 2.5 GB. Test: the centre of every frame, one clip; the published protocol is not known.
# ResNet-152: frozen features of 64 frames are extracted first (data/breakfast_features, 22 GB, once for all three rows),
# then a head is trained on them by VideoGraph's schedule.
datasets="breakfast"
frames=2105 # of a video, for --costs: the mean
tsm="--arch resnet50 --pretrain imagenet --epochs 50 --lr_steps 20 40 --wd 5e-4 --dropout 0.5 --gd 20 --npb --eval_freq 1"
sampled="--lr 0.01 -b 64"
all="--lr 0.00125 -b 8 -j 4"
features="--weights imagenet --arch resnet152 --at layer4 --frames 64"
head="Features --cluster none --num_segments 64 --epochs 100 --optimizer adam --lr 0.01 --lr_steps 100 --eps 1e-4 --wd 0"
head="$head -b 16 --eval_freq 1"
source="serre-lab.clps.brown.edu/resource/breakfast-actions-dataset"
rows="
resnet64      41.1  $features > $head --consensus_type MLP                                |
actionvlad64  55.5  $features > $head --consensus_type ActionVLAD --vlad_form breakfast   |
videograph64  59.1  $features > $head --consensus_type VideoGraph                         |
tsm16         72.1  $tsm $sampled --num_segments 16 --cluster none --shift                | --test_crops 1
slope16       74.9  $tsm $all --num_segments 16 --cluster slope --shift                   | --test_crops 1 -b 1 -j 4
cumulative16  76.6  $tsm $all --num_segments 16 --cluster cumulative --shift              | --test_crops 1 -b 1 -j 4
"
. "$(dirname "$0")/run.sh"
