# docker-compose.yaml: valid everywhere, with every variation; and what a cluster that it started is like.

# config TOOL FILE...: as the tool understands it.
config() {
    COMPOSE=$1 DEPLOY="${*:2}" scripts/compose config
}

check_every_variation_is_valid() {
    local variation each all=("") knobs
    export CHAOS_NETWORK=172.31.77 CHAOS_LOGS=$scratch # As scripts/chaos sets them.
    for each in scripts/deploy/*.yaml; do all+=("$(basename "$each" .yaml)"); done
    all+=("five-nodes zones" "zones resources" "five-nodes zones resources debug")
    for each in "$new_tool" $old_tool; do
        for variation in "${all[@]}"; do
            config "$each" $variation >"$scratch/config" 2>"$log" ||
                { cat "$log" >&2; fail "$each does not accept: ${variation:-docker-compose.yaml}"; }
            if [ -s "$log" ]; then cat "$log" >&2; fail "$each complains about: ${variation:-docker-compose.yaml}"; fi
            check_hardened "$scratch/config" "${variation:-docker-compose.yaml}"
        done
    done
    ok "${#all[@]} variations are valid in ${old_tool:+docker-compose 1.29 and }$new_tool; each service is read-only," \
        "without capabilities, without a shell"

    if DEPLOY=six-nodes scripts/compose config >/dev/null 2>"$log"; then fail "DEPLOY=six-nodes is accepted"; fi
    grep -q "'six-nodes' is none of these: .*five-nodes" "$log" || fail "DEPLOY=six-nodes is not told what there is"

    # .env names every knob, with the default that the files have.
    grep -ohE '\$\{[A-Z0-9_]+:-[^}]*\}' docker-compose.yaml scripts/deploy/*.yaml | sort -u |
        sed -E 's/\$\{([A-Z0-9_]+):-(.*)\}/\1=\2/' >"$scratch/used"
    knobs=$(grep -E '^[A-Z0-9_]+=' .env | sort)
    diff <(sort -u "$scratch/used") <(cat <<<"$knobs") >"$log" || { cat "$log" >&2; fail ".env and the files differ"; }
    ok ".env has every one of the $(wc -l <<<"$knobs") knobs, with its default"
}

# Every service of the expanded configuration that is ours or etcd: what it may do, and that it needs no shell.
check_hardened() {
    python3 - "$1" "$2" <<'EOF'
import re, sys
text, name = open(sys.argv[1]).read(), sys.argv[2]
services = re.split(r"\n(?=\w)", text)
services = next(part for part in services if part.startswith("services:"))
# Others may bring monitoring along, from images that are not ours.
for service in re.split(r"\n(?=  [\w-]+:)", services)[1:]:
    title = service.strip().split(":")[0]
    if not re.match(r"etcd|node-|smoke", title):
        continue
    for promise in (r"cap_drop:\n *- ALL", r"read_only: true", r"no-new-privileges:true", r"init: true"):
        if not re.search(promise, service):
            sys.exit(f"FAILED: {name}: {title} lacks {promise}")
    if re.search(r"CMD-SHELL|/bin/sh|\bbash\b|docker\.sock|privileged: true", service):
        sys.exit(f"FAILED: {name}: {title} uses a shell or the engine's socket")
EOF
}

member_records() {
    docker exec "$(container etcd)" /usr/local/bin/etcdctl get --prefix /sandstore -w json
}

revisions() { # What etcd holds, with the revision at which each key was written.
    member_records | python3 -c 'import json, sys
for kv in json.load(sys.stdin).get("kvs", []): print(kv["key"], kv["mod_revision"])'
}

check_the_cluster_stays() {
    await_healthy "${nodes[@]}"
    is exited inspect etcd-init '{{.State.Status}}' || fail "etcd-init is still there"
    is 0 inspect etcd-init '{{.State.ExitCode}}' || fail "etcd-init failed"
    ok "the cluster stays up, its three nodes are healthy"

    "${compose[@]}" logs --no-color node-2 >"$log" 2>&1
    local own='^[^|]*node-2[-_]1 +\|'
    grep -qE "$own" "$log" || fail "logs node-2 shows nothing"
    if grep -qvE "^Attaching to |^\$|$own" "$log"; then fail "logs node-2 shows another service"; fi
    ok "logs node-2 shows only that node"

    local before
    before=$(revisions)
    [ "$(wc -l <<<"$before")" -ge 3 ] || fail "etcd holds no three records: $before"
    quietly "etcd-init again" "${compose[@]}" run --rm -T etcd-init
    [ "$before" = "$(revisions)" ] || fail "etcd-init changed something when it ran again"
    ok "etcd-init again changes nothing"

    quietly "smoke again" "${compose[@]}" run --rm -T smoke
    smoke_passed "$log" || { cat "$log" >&2; fail "smoke again: the last line is not SMOKE OK"; }
    ok "smoke again, at once"
}

users_of() { docker top "$(container "$1")" -eo pid,uid | awk 'NR > 1 { print $2 }' | sort -u; }

check_how_it_runs() {
    local node
    for node in "${nodes[@]}"; do
        is 10001 users_of "$node" || fail "$node runs a process as another user: $(users_of "$node")"
        is 'true [ALL] [no-new-privileges:true]' inspect "$node" \
            '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' ||
            fail "$node may do more than it should"
        if [[ "$(inspect "$node" '{{json .Mounts}}')" == *docker.sock* ]]; then fail "$node mounts docker.sock"; fi
        if docker cp .env "$(container "$node"):/there" >/dev/null 2>&1; then fail "$node's root can be written to"; fi
        if docker exec "$(container "$node")" sh -c true >/dev/null 2>&1; then fail "$node has a shell"; fi
    done
    ok "nodes run as user 10001 on a read-only root, without capabilities, shell or docker.sock"
}

file_in_log_volume() { # file_in_log_volume NAME: its text
    docker cp "$(container node-1):/var/log/sandstore/$1" - | tar -xO
}

# SIGHUP is how logrotate has a file opened anew; events_test.py tries the whole of it.
check_logs_rotate() {
    local began
    began=$(inspect node-1 '{{.State.StartedAt}}')
    file_in_log_volume node-1.log | grep -q ' main Starting ' || fail "node-1 does not write its log file"
    docker kill --signal HUP "$(container node-1)" >/dev/null
    await 10 "node-1 serves after SIGHUP" sandstore_in node-1 health
    is "$began" inspect node-1 '{{.State.StartedAt}}' || fail "SIGHUP ended node-1"
    ok "a node writes its own log file; SIGHUP does not end it"
}
