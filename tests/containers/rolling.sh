# scripts/rolling-restart, while the writers of lib.sh are at work: a restart, and an upgrade to another image.

check_rolling() {
    local before node
    quietly "rolling-restart" scripts/rolling-restart
    [ "$(grep -c ': restarted, ' "$log")" = 3 ] || { cat "$log" >&2; fail "not every node was restarted"; }
    await_healthy "${nodes[@]}"
    nothing_lost node-1 "one node after the other restarted"

    # Another image under another name: the same files with one more label.
    before=$SANDSTORE_IMAGE
    export SANDSTORE_IMAGE=sandstore:test-next-$$
    images+=("$SANDSTORE_IMAGE")
    printf 'FROM %s\nLABEL next=yes\n' "$before" | docker build -q -t "$SANDSTORE_IMAGE" - >"$log" 2>&1 ||
        { cat "$log" >&2; fail "the next image"; }
    quietly "rolling upgrade" scripts/rolling-restart
    for node in "${nodes[@]}"; do
        is "$SANDSTORE_IMAGE" inspect "$node" '{{.Config.Image}}' || fail "$node does not run the next image"
    done
    await_progress
    nothing_lost node-2 "one node after the other upgraded"
    export SANDSTORE_IMAGE=$before

    quietly "stop a node" "${compose[@]}" stop node-3
    if PATIENCE=3 scripts/rolling-restart node-1 >"$log" 2>&1; then fail "node-1 was stopped without a majority"; fi
    grep -q 'node-1: gave up' "$log" || { cat "$log" >&2; fail "rolling-restart does not say that it gave up"; }
    is running inspect node-1 '{{.State.Status}}' || fail "node-1 was stopped"
    quietly "start it again" "${compose[@]}" start node-3
    await_healthy "${nodes[@]}"
    await 60 "node-3 has caught up" caught_up node-1
    ok "rolling-restart stops nothing that the others cannot do without"
}
