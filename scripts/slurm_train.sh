#!/usr/bin/env bash
# Trains on one or more nodes of a SLURM cluster, and goes on by itself after pre-emption or the end of its time:
#   sbatch scripts/slurm_train.sh jester RGB --arch resnet50 --num_segments 8 --shift -b 128
#   sbatch --nodes=4 --gpus-per-node=8 --time=12:00:00 scripts/slurm_train.sh ...
# Submit it from the repository; PYTHON=path names the interpreter, else that of .venv or of the PATH is used.
# main.py saves and ends with exit code 143 at SIGUSR1, 2 minutes before its time is up, or at SIGTERM; then, the job
# is put back into the queue and starts from its newest checkpoint.
#SBATCH --job-name=full-video
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --output=slurm-%j.out
set -euo pipefail
if [ -z "${SLURM_JOB_ID:-}" ]; then
    echo "error: this script runs inside a SLURM job; submit it with sbatch $0 $*" >&2
    exit 2
fi
cd "$SLURM_SUBMIT_DIR"
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
gpus=${SLURM_GPUS_ON_NODE:-0}
processes=$((gpus > 0 ? gpus : 1))

export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not take it over by itself
srun --kill-on-bad-exit=1 "$PYTHON" -m torch.distributed.run --nnodes="$SLURM_JOB_NUM_NODES" \
    --nproc_per_node="$processes" --rdzv_id="$SLURM_JOB_ID" --rdzv_backend=c10d --rdzv_endpoint="$host:$port" \
    main.py "$@" --resume auto &
step=$!

stopping=
stop() { # SLURM wants the nodes back: tell the processes, which save
    stopping=1
    scancel --signal=TERM "$SLURM_JOB_ID.0" || kill -TERM "$step"
}
trap stop USR1 TERM

code=0
wait "$step" || code=$?
while kill -0 "$step" 2>/dev/null; do # a signal ends `wait`, not the step
    code=0
    wait "$step" || code=$?
done
if [ -n "$stopping" ] && [ "$code" -ne 0 ]; then
    echo "stopped with exit code $code, job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
