#!/usr/bin/env bash
# UCF101 and HMDB51, ResNet-50 from Kinetics, first split:
#   bash scripts/published/ucf101_hmdb51.sh DATASET-ROW [--list] [--costs] [--dry_run] [--gpus N] [options of main.py]
# Schedule: TSM's for UCF101, in which all but the first BatchNorm stay as they are; the paper's is not known. STM's
# (second-hand) and that of the dynamic images for theirs; the latter are four networks, ResNeXt-50 from ImageNet, and two
# of them see optical flow (tools/extract_flow.py). Tests: full resolution, 3 crops, and for sampled frames 2 clips, as
# TSM's figures were published, or 10, as STM's; a model that clusters all frames has only one clip, and how the paper
# tested is not known. Dynamic images: the centre of 25 windows.
datasets="ucf101 hmdb51"
frames=188 # of a video, for --costs: the mean of UCF101
tsm="--arch resnet50 --epochs 25 --lr 0.001 --lr_steps 10 20 -b 64 --wd 5e-4 --dropout 0.8 --gd 20 --eval_freq 1"
stm="--arch resnet50 --epochs 25 --lr 0.001 --lr_steps 15 -b 32 --wd 5e-4 --dropout 0.8 --gd 20 --npb --eval_freq 1"
stream="--arch resnext50 --pretrain imagenet --epochs 150 --lr 0.01 --lr_steps 10 -b 4 --accum 32 --wd 5e-4 --npb"
stream="$stream --cluster none --num_segments 10 --temporal_max --eval_freq 1"
# Weights: TSM's, listed at github.com/mit-han-lab/temporal-shift-module under Pretrained Models, uniform sampling. STM's
# own are not published: without --tune_from, its row starts from TSN's, to which the modules of STM are new.
from_tsn="--tune_from pretrained/TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth"
from_tsm="--tune_from pretrained/TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth"
crops="--test_crops 3 --full_res"
source="www.crcv.ucf.edu/data/UCF101.php or serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database"
rows="
tsn8         91.7  64.7  $tsm --num_segments 8 --cluster none $from_tsn                 | $crops --twice_sample
tsm1         91.2  65.1  $tsm --num_segments 1 --cluster none --shift $from_tsm         | $crops --twice_sample
tsm8         95.9  73.5  $tsm --num_segments 8 --cluster none --shift $from_tsm         | $crops --twice_sample
stm16        96.2  72.2  $stm --num_segments 16 --cluster none --temporal stm $from_tsn | $crops --ten_sample
slope8       96.2  73.3  $tsm --num_segments 8 --cluster slope --shift $from_tsm        | $crops
cumulative8  96.4  73.4  $tsm --num_segments 8 --cluster cumulative --shift $from_tsm   | $crops
dynamic10    95.0  71.5  SI $stream --dropout 0.5 + DI $stream --dropout 0.5 + OF $stream --dropout 0.8 + DOF $stream --dropout 0.8 | --test_crops 1 --test_segments 25 --softmax
"
. "$(dirname "$0")/run.sh"
