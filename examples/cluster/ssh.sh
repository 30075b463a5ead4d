#!/bin/bash
# A search on machines that can be reached over SSH: ./ssh.sh HEAD WORKER...
#
# Each machine needs dcdnas in a virtual environment at the same path (VENV) and access to the shared folder of runs (RUNS). The token
# is sent to them over SSH.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: $0 HEAD [WORKER...]" >&2; exit 2; }
HEAD=$1
shift
VENV=${VENV:-/opt/dcdnas}
RUNS=${RUNS:-/shared/dcdnas-runs}
NAME=${NAME:-ssh}
SEARCH=${SEARCH:-"-b 300MFLOPs -n 200"}
PORT=6379
token=$(openssl rand -hex 32)

# The token is read from standard input, so that it does not appear in a list of processes.
on() {
  local host=$1
  shift
  printf '%s\n' "$token" | ssh "$host" "read -r RAY_AUTH_TOKEN; export RAY_AUTH_TOKEN RAY_AUTH_MODE=token DCDNAS_RUNS=$RUNS; $*"
}

address=$(ssh "$HEAD" hostname -I | awk '{print $1}')
on "$HEAD" "$VENV/bin/ray start --head --node-ip-address=$address --port=$PORT --include-dashboard=false"
for worker in "$@"; do
  on "$worker" "$VENV/bin/ray start --address=$address:$PORT"
done
# `ray stop` stops every Ray process on a machine, including those of other clusters: use machines that you do not share.
trap 'for host in "$HEAD" "$@"; do ssh "$host" "$VENV/bin/ray stop"; done' EXIT

if ssh "$HEAD" test -e "$RUNS/$NAME/search.yaml"; then
  on "$HEAD" "$VENV/bin/dcdnas resume $NAME --address $address:$PORT"
else
  on "$HEAD" "$VENV/bin/dcdnas search $SEARCH --name $NAME --address $address:$PORT"
fi
