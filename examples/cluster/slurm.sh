#!/bin/bash
#SBATCH --job-name=dcdnas
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#
# A search on three nodes. Five minutes before the job's time is up, the search receives SIGTERM and stops with all finished trainings
# saved; the job is queued again and then resumes the search. RUNS has to be on storage that all nodes share.
set -euo pipefail

RUNS=${RUNS:-$HOME/dcdnas-runs}
NAME=${NAME:-slurm}
SEARCH=${SEARCH:-"-b 300MFLOPs -n 200"}
PORT=6379

export DCDNAS_RUNS=$RUNS
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}')

srun --nodes=1 --ntasks=1 --overlap -w "$head" \
  ray start --head --node-ip-address="$address" --port="$PORT" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes="$((SLURM_JOB_NUM_NODES - 1))" --ntasks="$((SLURM_JOB_NUM_NODES - 1))" --overlap --exclude="$head" \
    ray start --address="$address:$PORT" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 20
fi

if [ -e "$RUNS/$NAME/search.yaml" ]; then
  dcdnas resume "$NAME" --address "$address:$PORT" &
else
  # shellcheck disable=SC2086
  dcdnas search $SEARCH --name "$NAME" --address "$address:$PORT" &
fi
search=$!
trap 'kill -TERM "$search"' TERM
code=0
wait "$search" || code=$?
while kill -0 "$search" 2>/dev/null; do
  wait "$search" || code=$?
done

# exit code 3: the search was stopped and can be resumed
if [ "$code" -eq 3 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
