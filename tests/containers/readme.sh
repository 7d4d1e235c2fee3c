# The commands of Docker in README.md, one after the other, as a reader runs them.

check_readme() {
    local command adapted
    use_cluster readme "$new_tool" 3
    unset DEPLOY
    python3 tests/cluster/readme_blocks.py --docker README.md >"$scratch/readme"
    [ -s "$scratch/readme" ] || fail "README.md has no command of Docker"
    while read -r command; do
        adapted=$command
        case $command in
        *"docker compose up" | *"docker-compose up") adapted="$command -d --no-build && scripts/compose await-smoke" ;;
        "make image"* | "make shell"* | "make monitoring-up"*) continue ;; # Tried in tests of their own.
        "make up"*) adapted="scripts/compose up -d --no-build && scripts/compose await-smoke" ;;
        *" logs -f"* | "make logs"*) adapted="timeout 2 $command; test \$? = 124" ;;
        esac
        adapted=${adapted//docker compose/$tool}
        adapted=${adapted/ exec / exec -T }
        quietly "README.md: $command" bash -c "$adapted"
        case $adapted in *await-smoke) smoke_passed "$log" || { cat "$log" >&2; fail "README.md: $command"; } ;; esac
        [[ $command != *" exec "* ]] || await_healthy node-2
    done <"$scratch/readme"
    down
    ok "README.md: its $(wc -l <"$scratch/readme") commands of Docker work"
}
