# What the parts of tests/containers/run share: compose, questions to the cluster, and how a failure is told.

readonly test_project=sandstore-test-$$
export SANDSTORE_COMMIT=${SANDSTORE_COMMIT:-$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)}
scratch=$(mktemp -d)
log=$scratch/log
started_at=$SECONDS
projects=() # Every project that was started, for remove_all.
images=()

ok() { printf 'ok: %s (%d s)\n' "$*" "$((SECONDS - started_at))"; }

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    "${compose[@]}" ps -a >&2 2>/dev/null || "${compose[@]}" ps >&2 || true
    "${compose[@]}" logs --no-color --tail=60 >&2 || true
    exit 1
}

# quietly WHAT COMMAND...: fails as WHAT, with what the command printed.
quietly() {
    local what=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 60 "$log" >&2; fail "$what: $*"; }
}

# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >"$log" 2>&1; do
        ((SECONDS < deadline)) || { tail -n 20 "$log" >&2; fail "$what, waited until the deadline"; }
        sleep 0.1
    done
}

is() { [ "$("${@:2}")" = "$1" ]; } # is EXPECTED COMMAND...

remove_all() {
    trap - EXIT
    stop_writers
    local project kind
    for project in "${projects[@]}"; do
        local label=label=com.docker.compose.project=$project
        docker ps -aq --filter "$label" | xargs -r docker rm -f -v >/dev/null 2>&1 || true
        for kind in volume network; do
            docker "$kind" ls -q --filter "$label" | xargs -r docker "$kind" rm >/dev/null 2>&1 || true
        done
    done
    ((${#images[@]} == 0)) || docker image rm -f "${images[@]}" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}

# --- Compose ----------------------------------------------------------------------------------------------------------

free_ports() {
    python3 - "$1" <<'EOF'
import random, socket, sys
found = {}
while len(found) < int(sys.argv[1]):
    port = random.randrange(20000, 30000)  # Below the range that outgoing connections take theirs from.
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
        found[port] = listener
    except OSError:
        pass
print(*found)
EOF
}

# use_cluster NAME TOOL NODES FILE...: from here on `compose` is this project, with ports of its own. TOOL is
# "docker compose" or docker-compose; each FILE a name in scripts/deploy/; none: docker-compose.yaml alone.
use_cluster() {
    export COMPOSE_PROJECT_NAME=$test_project-$1
    local ports number
    read -ra compose <<<"$2"
    tool=$2
    nodes=()
    read -ra ports <<<"$(free_ports 11)"
    for number in 1 2 3 4 5; do
        export "NODE_${number}_PORT=${ports[number - 1]}" "NODE_${number}_HTTP_PORT=${ports[number + 4]}"
        ((number > $3)) || nodes+=("node-$number")
    done
    export ETCD_PORT=${ports[10]} DEPLOY="${*:4}" COMPOSE=$2
    read -ra compose <<<"$(scripts/compose command)"
    projects+=("$COMPOSE_PROJECT_NAME")
}

container() { # container SERVICE: its id, running or not
    docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1" --filter "label=com.docker.compose.oneoff=False"
}

inspect() { docker inspect -f "$2" "$(container "$1")"; }

is_healthy() { is healthy inspect "$1" '{{.State.Health.Status}}'; }

await_healthy() { # await_healthy NODE...
    local node
    for node in "$@"; do await 60 "$node is healthy" is_healthy "$node"; done
}

smoke_passed() { # smoke_passed LOGFILE
    [ "$(tail -n 1 "$1" | tr -d '\r')" = "SMOKE OK" ]
}

up_until_smoke_ok() { # up_until_smoke_ok WHAT
    local began smoke status
    began=$(date +%s%N)
    quietly "up" "${compose[@]}" up -d --no-build
    smoke=$(container smoke)
    [ -n "$smoke" ] || fail "there is no smoke container"
    status=$(timeout 180 docker wait "$smoke") || fail "smoke did not end"
    docker logs "$smoke" >"$log" 2>&1
    [ "$status" = 0 ] || { cat "$log" >&2; fail "smoke ended with $status"; }
    smoke_passed "$log" || { cat "$log" >&2; fail "the last line of smoke is not SMOKE OK"; }
    ok "$1: $(grep -c '^PASS:' "$log") smoke steps passed, SMOKE OK" \
        "$((($(date +%s%N) - began) / 1000000)) ms after '$tool up -d'"
}

down() {
    local label=label=com.docker.compose.project=$COMPOSE_PROJECT_NAME left
    quietly "down -v" "${compose[@]}" down --volumes
    left=$(docker ps -aq --filter "$label"
        docker volume ls -q --filter "$label"
        docker network ls -q --filter "$label")
    [ -z "$left" ] || fail "left behind: $left"
}

# --- The cluster ------------------------------------------------------------------------------------------------------

sandstore_in() { # sandstore_in NODE ARGUMENTS...: the command line, inside that node's container
    docker exec -i "$(container "$1")" sandstore "${@:2}"
}

fs() { sandstore_in "$1" fs "${@:2}"; }

# status NODE EXPRESSION [FLAG]: a Python expression over `status`, what `sandstore status --json` says in there.
status() {
    sandstore_in "$1" status --json "${@:3}" </dev/null |
        python3 -c 'import json, sys; status = json.load(sys.stdin); print(eval(sys.argv[1]))' "$2"
}

leader_seen_by() { status "$1" 'status["leader"] or ""'; }

another_leader() { # another_leader OLD NODE: the node sees a leader, and it is not OLD
    local now
    now=$(leader_seen_by "$2") && [ -n "$now" ] && [ "$now" != "$1" ]
}

other_than() { # other_than NODE: some other one
    local node
    for node in "${nodes[@]}"; do
        [ "$node" = "$1" ] || { echo "$node"; return; }
    done
}

caught_up() { # caught_up NODE: all are up, and have applied what the most advanced one has committed
    status "$1" "len(status['nodes']) == ${#nodes[@]} and all(
        n['up'] and n['applied_index'] >= max(m['commit_index'] for m in status['nodes'] if m['up'])
        for n in status['nodes'])" | grep -qx True
}

# same_state NODE: all replicas that are up have one state hash at one index. Several at one index are an error at once.
same_state() {
    status "$1" "[(n.get('state_hash_index'), n.get('state_hash')) for n in status['nodes'] if n['up']]" --state-hash \
        >"$scratch/states" || return 1
    local verdict=0
    python3 - "$scratch/states" <<'EOF' || verdict=$?
import sys
states = set(eval(open(sys.argv[1]).read()))
indexes = {index for index, _ in states}
if None not in indexes and len(states) > len(indexes):
    sys.exit(3)
sys.exit(len(states) != 1 or None in indexes)
EOF
    ((verdict != 3)) || fail "the replicas differ: $(cat "$scratch/states")"
    return "$verdict"
}

# --- A load that remembers what it was told ---------------------------------------------------------------------------

writers=()
running_nodes() {
    docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter \
        "label=com.docker.compose.oneoff=False" --format '{{.Label "com.docker.compose.service"}}' | grep '^node-' |
        grep -vxF "$(cat "$scratch/cut-off" 2>/dev/null || echo none)" # What no client can use now.
}

# Writes files that say their own name, each through any node that runs, and notes those whose write was acknowledged.
write_on() { # write_on NUMBER
    local file node count=0
    while [ ! -e "$scratch/stop-writers" ]; do
        if [ -e "$scratch/pause-writers" ]; then
            sleep 0.1
            continue
        fi
        count=$((count + 1))
        file=/acknowledged/$1-$count
        node=$(running_nodes | shuf -n 1) || continue
        if printf 'content of %s\n' "$file" |
            timeout 20 docker exec -i -e SANDSTORE_TIMEOUT=8s "$(container "$node")" sandstore fs put - "$file" \
                >/dev/null 2>&1; then
            echo "$file" >>"$scratch/acknowledged-$1"
        fi
    done
}

start_writers() {
    rm -f "$scratch"/acknowledged-* "$scratch"/*-writers
    fs node-1 mkdir -p /acknowledged </dev/null >"$log" 2>&1 || { cat "$log" >&2; fail "mkdir /acknowledged"; }
    write_on 1 &
    writers+=($!)
    write_on 2 &
    writers+=($!)
    await 30 "the writers are told that writes are done" acknowledged_more_than 4
}

stop_writers() {
    touch "$scratch/stop-writers"
    ((${#writers[@]} == 0)) || wait "${writers[@]}" 2>/dev/null || true
    writers=()
}

acknowledged_count() { cat "$scratch"/acknowledged-* 2>/dev/null | wc -l; }

acknowledged_more_than() { (($(acknowledged_count) > $1)); }

# Until writes are acknowledged that began after this call (each writer may be waiting for one from before).
await_progress() {
    await 60 "writes go on" acknowledged_more_than "$(($(acknowledged_count) + 4))"
}

# Leaves `files` behind.
compare_acknowledged() { # compare_acknowledged NODE AFTER
    mapfile -t files < <(cat "$scratch"/acknowledged-*)
    printf 'content of %s\n' "${files[@]}" >"$scratch/expected"
    fs "$1" cat "${files[@]}" </dev/null >"$scratch/found" 2>"$log" || { cat "$log" >&2; fail "$2: files are missing"; }
    cmp "$scratch/expected" "$scratch/found" || fail "$2: the content of acknowledged files differs"
}

# nothing_lost NODE AFTER: every acknowledged file is there with its content, read through this node, and all replicas
# have one state.
nothing_lost() {
    local files=()
    compare_acknowledged "$1" "$2"
    touch "$scratch/pause-writers" # The replicas meet at one index only when nothing is written.
    await 60 "$2: all replicas reach one state" same_state "$1"
    rm "$scratch/pause-writers"
    ok "$2: ${#files[@]} acknowledged files are there, all replicas have the same state"
}
