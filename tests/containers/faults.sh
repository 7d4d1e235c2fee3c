# Containers that are killed, cut off and restarted while clients write: whatever was acknowledged is there afterwards.

network() { docker network ls -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"; }

check_faults() {
    check_killing_the_leader
    check_cutting_off_the_leader
    check_one_way_partition
    check_stopping_the_leader
}

# Leaves `leader` and `other` behind.
choose_leader() {
    leader=$(leader_seen_by node-1)
    [ -n "$leader" ] || fail "node-1 knows no leader"
    other=$(other_than "$leader")
}

await_whole() { # await_whole NODE
    await_healthy "${nodes[@]}"
    await 60 "all nodes have caught up" caught_up "$1"
}

check_killing_the_leader() {
    choose_leader
    quietly "kill $leader" docker kill "$(container "$leader")"
    await 30 "another leader than $leader" another_leader "$leader" "$other"
    await_progress
    nothing_lost "$other" "the leader's container killed"
    quietly "start $leader" "${compose[@]}" start "$leader"
    await_whole "$other"
    nothing_lost "$leader" "it came back"
}

check_cutting_off_the_leader() {
    choose_leader
    local id
    id=$(container "$leader")
    echo "$leader" >"$scratch/cut-off"
    quietly "disconnect $leader" docker network disconnect "$(network)" "$id"
    await 30 "another leader than $leader" another_leader "$leader" "$other"
    await_progress
    readable_without "$leader" "$other" "the leader cut off from the network"
    # With the name that the others know it by: an engine gives none by itself to a container that is connected later.
    quietly "connect $leader" docker network connect --alias "$leader" "$(network)" "$id"
    await_whole "$other"
    rm "$scratch/cut-off"
    nothing_lost "$leader" "it is connected again"
}

# A node that is cut off cannot tell its state: the content only.
readable_without() { # readable_without NODE THROUGH AFTER
    local files=()
    compare_acknowledged "$2" "$3"
    ok "$3: ${#files[@]} acknowledged files are readable without $1"
}

# in_network_of NODE COMMAND...: on this machine, with that container's network.
in_network_of() {
    nsenter -t "$(inspect "$1" '{{.State.Pid}}')" -n "${@:2}"
}

# The leader hears nothing from the others any more, and they still hear it: its heartbeats must not keep it in office.
check_one_way_partition() {
    choose_leader
    if ! in_network_of "$leader" iptables -w -L INPUT >/dev/null 2>&1; then
        ok "one-way partition: not tried, this machine has no iptables for a container's network"
        return
    fi
    local peer address rules=()
    echo "$leader" >"$scratch/cut-off"
    for peer in "${nodes[@]}"; do
        [ "$peer" != "$leader" ] || continue
        address=$(inspect "$peer" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
        rules+=("$address")
        quietly "drop what comes from $peer" in_network_of "$leader" iptables -w -A INPUT -s "$address" -j DROP
    done
    await 30 "another leader than $leader" another_leader "$leader" "$other"
    await_progress
    readable_without "$leader" "$other" "the leader deaf, but not dumb"
    for address in "${rules[@]}"; do
        quietly "heal" in_network_of "$leader" iptables -w -D INPUT -s "$address" -j DROP
    done
    await_whole "$other"
    rm "$scratch/cut-off"
    nothing_lost "$leader" "it hears again"
}

check_stopping_the_leader() {
    local began took stopped
    choose_leader
    began=$(date +%s%N)
    "${compose[@]}" stop "$leader" >"$log" 2>&1 &
    stopped=$!
    await 12 "another leader than $leader" another_leader "$leader" "$other"
    took=$((($(date +%s%N) - began) / 1000000))
    wait "$stopped" || fail "stop $leader"
    is 0 inspect "$leader" '{{.State.ExitCode}}' || fail "$leader did not end with status 0"
    docker logs "$(container "$leader")" >"$log" 2>&1
    grep -q 'leadership is handed over' "$log" || fail "$leader handed nothing over"
    await_progress
    ok "stop of the leader: exit status 0, $(leader_seen_by "$other") leads $took ms after the command, writes go on"
    quietly "start $leader" "${compose[@]}" start "$leader"
    await_whole "$other"
    nothing_lost "$leader" "started again"
}

check_restarts() {
    local node ids=()
    for node in "${nodes[@]}"; do ids+=("$(container "$node")"); done
    quietly "kill" docker kill "${ids[@]}"
    quietly "start after kill" "${compose[@]}" start "${nodes[@]}"
    await_whole node-1
    nothing_lost node-2 "all nodes killed at once"

    quietly "restart" "${compose[@]}" restart
    await_whole node-1
    nothing_lost node-3 "everything restarted, etcd too"

    quietly "down" "${compose[@]}" down
    up_until_smoke_ok "down and up again"
    await_whole node-1
    nothing_lost node-1 "down and up again"
}
