#!/usr/bin/env bash
# UCF101 and HMDB51, ResNet-50 from Kinetics, first split:
#   bash scripts/published/ucf101_hmdb51.sh DATASET-ROW [--list] [--dry_run] [--gpus N] [options of main.py]
# Schedule: TSM's for UCF101; the paper's is not known. All but the first BatchNorm stay as they are. Test: full
# resolution, 3 crops, and for sampled frames 2 clips, as TSM's figures were published; a model that clusters all frames
# has only one clip, and how the paper tested is not known.
datasets="ucf101 hmdb51"
schedule="--arch resnet50 --epochs 25 --lr 0.001 --lr_steps 10 20 -b 64 --wd 5e-4 --dropout 0.8 --gd 20 --eval_freq 1"
# Weights: TSM's, listed at github.com/mit-han-lab/temporal-shift-module under Pretrained Models, uniform sampling
tsn=pretrained/TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth
tsm=pretrained/TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth
test="--test_crops 3 --full_res"
source="www.crcv.ucf.edu/data/UCF101.php or serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database"
rows="
tsn8         91.7  64.7  --num_segments 8 --cluster none --tune_from $tsn                | --twice_sample
tsm1         91.2  65.1  --num_segments 1 --cluster none --shift --tune_from $tsm        | --twice_sample
tsm8         95.9  73.5  --num_segments 8 --cluster none --shift --tune_from $tsm        | --twice_sample
slope8       96.2  73.3  --num_segments 8 --cluster slope --shift --tune_from $tsm
cumulative8  96.4  73.4  --num_segments 8 --cluster cumulative --shift --tune_from $tsm
"
. "$(dirname "$0")/run.sh"
