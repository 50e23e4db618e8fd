#!/bin/bash
# All that needs a GPU, in bounded time: what ActCoolLR costs there, tests on CUDA, the workloads
# and the grid of benchmarks/training with as many processes as pay.
#
#     bash benchmarks/gpu/run.sh SECONDS FOLDER [overhead] [tests] [workloads] [grid]
#
# Without a stage all of them are run. FOLDER keeps every run, the logs and packed.tar.gz with all
# of it; given again, it goes on. What is underway when SECONDS are over is lost, all else is kept.
# DATA=FILE.npz: what workloads.py and robustness.py --pack-data wrote. PYTHON: the interpreter.
# TINY=1 tries the script out: short runs, DEVICE=cpu where there is no GPU.
begun=$(date +%s)
seconds=$1 folder=$(mkdir -p "$2" && cd "$2" && pwd) || exit 2
shift 2
stages=${*:-overhead tests workloads grid}
cd "$(dirname "$0")/../.." || exit 2
python=${PYTHON:-python3} device=${DEVICE:-cuda}
export PYTHONPATH=$PYTHONPATH:toolkit:exporters:benchmarks OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
mkdir -p "$folder"/{logs,workloads,robustness}

share=0.25 final=1 blocks=125 short=63 counts="1 8 16" look=2 own=8 alone=180 every=15
epochs="10 30 100 300" seeds="0 1 2" some=()
if [ -n "$TINY" ]; then
  share=0.01 final=0.01 blocks=5 short=5 counts="1 2" look=0.2 own=1 alone=60 every=3
  epochs="1" seeds="0" some=(--workloads digits_mlp characters)
fi
rows=("F1" "F1 + BN" "ResNet-8" "ResNet-18, 64 px")
[ -n "$TINY" ] && rows=("F1")
data=(--resume ${DATA:+--data-file "$DATA"})
workloads() { # STAGE SHARE OPTION...
  "$python" benchmarks/training/workloads.py "$1" --share "$2" "${some[@]}" --seeds $seeds \
    --out "$folder/workloads" "${data[@]}" --longest-first "${@:3}"
}
grid() { # OPTION...
  "$python" benchmarks/training/robustness.py --epochs $epochs --seeds $seeds \
    --out "$folder/robustness" "${data[@]}" "$@"
}
overhead() { # NAME BLOCKS ROW...
  timeout $((alone - $(passed) > 1 ? alone - $(passed) : 1)) "$python" \
    benchmarks/actcool_overhead.py --device "$device" --steering "crossing rates" \
    --rounds "$2" --json "$folder/logs/overhead_$1.json" --only "${@:3}" 2>&1 | tee -a "$folder/logs/overhead.log"
}

passed() { echo $(($(date +%s) - begun)); }
told() { echo "[$(passed) s] $*"; }
groups=()
behind() { # LOG COMMAND...: in a process group of its own, so that its workers can be ended
  local log=$folder/logs/$1.log
  shift
  set -m
  "$@" >> "$log" 2>&1 < /dev/null &
  last=$!
  set +m
  groups+=("$last")
}
ended() { for group in "$@"; do kill -9 -- "-$group" 2> /dev/null; done; wait "$@" 2> /dev/null; }
pack() {
  (cd "$folder" && tar czf packed.part workloads robustness logs && mv packed.part packed.tar.gz)
}
again() { for _ in 1 2 3; do "$@" && return; told "again after $?: ${*:1:3}"; done; }
finish() {
  trap - EXIT TERM INT
  ended "${groups[@]}"
  if [ -n "$CUDA_MPS_PIPE_DIRECTORY" ]; then
    echo quit -t 2 | timeout 5 nvidia-cuda-mps-control > /dev/null 2>&1 ||
      kill "$(cat "$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid")"
  fi
  [ -f "$folder/logs/tests.log" ] && tail -n 5 "$folder/logs/tests.log"
  grep -hE "again after|Error" "$folder"/logs/{apart,workloads,grid}*.log 2> /dev/null |
    cut -c1-200 | sort | uniq -c | sort -rn | head
  pack
  counted
  exit 0
}
counted() {
  told "$(ls "$folder/workloads" | wc -l) runs of workloads, $(ls "$folder/robustness" | wc -l) of the grid"
}
trap finish EXIT TERM INT
behind timer bash -c "sleep $((seconds - 12)); kill -TERM $$"
told "begun: $stages"

if [[ " $stages " == *" overhead "* ]]; then # alone on the GPU; some cores train what needs none
  apart() {
    [[ " $stages " == *" workloads "* ]] && workloads choose "$share" --methods actcool --workers "$own"
    [[ " $stages " == *" grid "* ]] && grid --nets mlp --workers "$own" &&
      grid --data digits512 --nets cnn cnn_bn --workers "$own"
  }
  behind apart apart
  apart=$last
  overhead plain "$blocks" "${rows[@]}"
  if [ -z "$TINY" ]; then
    overhead large "$short" "ResNet-50, 224 px, bf16"
    overhead compiled "$blocks" "ResNet-18, 64 px, compiled"
  fi
  ended "$apart"
  told "overhead done"
  pack
fi

if [ "$device" = cuda ] && command -v nvidia-cuda-mps-control > /dev/null; then
  export CUDA_MPS_PIPE_DIRECTORY=$folder/mps CUDA_MPS_LOG_DIRECTORY=$folder/mps/logs
  mkdir -p "$folder/mps/logs"
  if nvidia-cuda-mps-control -d > "$folder/mps/start" 2>&1 < /dev/null &&
    timeout 30 "$python" -c "import torch; print(float(torch.zeros(2, device='cuda').sum()))"; then
    told "one context for all processes (MPS)"
  else
    told "MPS does not work here"
    tail -n 3 "$folder"/mps/logs/*
    echo quit -t 1 | timeout 5 nvidia-cuda-mps-control > /dev/null 2>&1
    unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
  fi
fi
probe=$folder/logs/probe.json
[ -f "$probe" ] || timeout 150 "$python" benchmarks/gpu/probe.py --device "$device" \
  --counts $counts --seconds "$look" --json "$probe"
workers=$("$python" -c "import json; print(json.load(open('$probe'))['workers'])" || echo 1)
cores=${counts##* }
told "$workers processes on the GPU, $((cores - workers)) beside it"

work=() # the groups that are waited for
if [[ " $stages " == *" tests "* ]]; then
  files=$(grep -l cuda -r tests/exporters/torch tests/benchmarks --include "test_*.py")
  [ -n "$TINY" ] && files=tests/benchmarks/training/test_training_grid.py
  behind tests env -u CUDA_MPS_PIPE_DIRECTORY timeout 150 "$python" -m pytest -q \
    -p no:cacheprovider -m "not slow" -W default $files
  work+=("$last")
fi
if [[ " $stages " == *" workloads "* ]]; then
  compared() {
    again workloads choose "$share" --workers "$workers" --device "$device"
    again workloads final "$final" --workers "$workers" --device "$device"
  }
  behind workloads compared
  work+=("$last")
fi
if [[ " $stages " == *" grid "* ]]; then
  shared() {
    if ((cores > workers)); then # the dearest first, as the cores begin with the cheapest
      epochs=${epochs% *} again grid --workers "$workers" --device "$device" --longest-first
    fi
    again grid --workers "$workers" --device "$device"
  }
  ((cores > workers)) && behind grid_apart again grid --workers $((cores - workers))
  ((cores > workers)) && work+=("$last")
  behind grid shared
  work+=("$last")
fi
left=${work[*]}
while [ -n "$left" ]; do
  sleep "$every" &
  wait $!
  pack
  counted
  left=$(for each in $left; do kill -0 "$each" 2> /dev/null && echo "$each"; done)
done
told "all is done"
