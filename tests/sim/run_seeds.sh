#!/bin/sh
# run_seeds.sh SIM COUNT: COUNT seeds of the simulator, beginning where the commit says; outside of git, at a fixed one.
set -eu
sim=$1
count=$2
commit=$(git -C "$(dirname "$0")" rev-parse --short=8 HEAD 2>/dev/null || echo 5eed5eed)
from=$(printf '%d' "0x$commit")
exec "$sim" --seeds "$count" --from "$from" --jobs 2 --trace-dir "${SANDSTORE_SIM_TRACES:-sim-traces}"
