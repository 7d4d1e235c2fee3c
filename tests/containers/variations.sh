# The files in scripts/deploy/, each running for real.

check_variations() {
    check_five_nodes_in_zones
    check_limits
    check_static_list
    check_single_node
}

# Two zones of two nodes and one of one: with three copies, the node that is alone in its zone must have every chunk,
# and the two of each other zone share them.
check_five_nodes_in_zones() {
    export ZONES=node-1=a,node-2=b,node-3=c,node-4=a,node-5=b
    use_cluster five "$new_tool" 5 five-nodes zones
    up_until_smoke_ok "five nodes in three zones"
    await_healthy "${nodes[@]}"
    local number
    fs node-1 mkdir -p /spread </dev/null
    for number in $(seq 12); do
        head -c 200000 /dev/urandom | fs node-4 put - "/spread/$number" >"$log" 2>&1 || { cat "$log" >&2; fail "put"; }
    done
    await 60 "a copy of each chunk in each zone" copies_are_spread
    ok "five nodes: a copy of each chunk in each of three zones: $(cat "$scratch/chunks")"

    local second
    second=$(leader_seen_by node-1)
    [ "$second" != node-3 ] || second=node-5
    quietly "two of five killed" docker kill "$(container node-3)" "$(container "$second")"
    local left
    left=$(running_nodes | head -n 1)
    await 30 "three of five have a leader" is_led "$left"
    is 200000 bytes_of "$left" /spread/7 || fail "a file is not readable with three of five nodes"
    printf 'three are enough' | fs "$left" put - /three >"$log" 2>&1 || { cat "$log" >&2; fail "put with three nodes"; }
    ok "five nodes: two may be lost"
    unset ZONES
    down
}

is_led() { [ -n "$(leader_seen_by "$1")" ]; }

bytes_of() { fs "$1" cat "$2" </dev/null | wc -c; }

copies_are_spread() {
    status node-1 "{z: sum(n['chunks'] for n in status['nodes'] if n['zone'] == z) for z in 'abc'}" >"$scratch/chunks"
    python3 -c 'import ast, sys
zones = ast.literal_eval(sys.stdin.read())
sys.exit(not (zones["a"] == zones["b"] == zones["c"] >= 12))' <"$scratch/chunks"
}

check_limits() {
    export NODE_CPUS=0.75 NODE_MEMORY=300M
    use_cluster limits "$new_tool" 3 resources
    quietly "up --no-start" "${compose[@]}" up --no-start --no-build
    is '750000000 314572800' inspect node-2 '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}' ||
        fail "the limits are $(inspect node-2 '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}')"
    unset NODE_CPUS NODE_MEMORY
    down
    ok "resources: the containers have the limits of .env"
}

check_static_list() {
    use_cluster static "$new_tool" 3 static
    up_until_smoke_ok "a fixed list, no etcd"
    down
}

check_single_node() {
    use_cluster single "$new_tool" 1 single-node
    up_until_smoke_ok "a single node"
    printf 'kept' | fs node-1 put - /kept >"$log" 2>&1 || { cat "$log" >&2; fail "put"; }
    quietly "restart" "${compose[@]}" restart node-1
    await_healthy node-1
    is kept fs node-1 cat /kept || fail "a single node lost its file"
    ok "a single node: restarted, its file is there"
    down
}
