# The image: built as `up` builds it, or given; and what is in it.

get_image() {
    if [ -n "${SANDSTORE_TEST_IMAGE:-}" ]; then
        export SANDSTORE_IMAGE=$SANDSTORE_TEST_IMAGE
    else
        export SANDSTORE_IMAGE=sandstore:test-$$
        images+=("$SANDSTORE_IMAGE")
        # As for a new user: `up` builds the image, and pulls nothing of ours.
        quietly "build" "${compose[@]}" up --no-start
        down
    fi
    docker run --rm "$SANDSTORE_IMAGE" --version >"$log" 2>&1 || { cat "$log" >&2; fail "--version"; }
    ok "image: $(head -n 1 "$log")"
}

of_image() { docker image inspect -f "$1" "$SANDSTORE_IMAGE"; }

label() { of_image "{{index .Config.Labels \"$1\"}}"; }

check_image() {
    local container size layers name
    is 10001:10001 of_image '{{.Config.User}}' || fail "the image runs as $(of_image '{{.Config.User}}')"
    is SIGTERM of_image '{{.Config.StopSignal}}' || fail "STOPSIGNAL"
    is '[CMD /usr/local/bin/sandstore health]' of_image '{{.Config.Healthcheck.Test}}' || fail "HEALTHCHECK"
    is '[/usr/local/bin/sandstore]' of_image '{{.Config.Entrypoint}}' || fail "ENTRYPOINT"
    for name in title description licenses version revision created; do
        [ -n "$(label "org.opencontainers.image.$name")" ] || fail "the image has no label for its $name"
    done
    is "$SANDSTORE_COMMIT" label org.opencontainers.image.revision || [ -n "${SANDSTORE_TEST_IMAGE:-}" ] ||
        fail "the label of the revision is $(label org.opencontainers.image.revision)"
    [ -n "$(label sandstore.profile)" ] || fail "the image does not say which profile it was built from"
    ok "image: user, signal, health check, labels"

    # The whole root file system, and nothing in it that could run a command line.
    container=$(docker create "$SANDSTORE_IMAGE")
    docker export "$container" | tar t >"$scratch/files"
    docker rm "$container" >/dev/null
    if grep -E '(^|/)(sh|bash|dash|busybox|apt|dpkg|perl|python3?)$|\.so(\.|$)' "$scratch/files"; then
        fail "the image holds a shell, a package manager or shared libraries"
    fi
    for name in usr/local/bin/sandstore usr/local/bin/smoke var/lib/sandstore/ var/log/sandstore/; do
        grep -qxF "$name" "$scratch/files" || fail "the image lacks $name"
    done
    if docker run --rm --entrypoint sh "$SANDSTORE_IMAGE" -c true 2>/dev/null; then fail "the image runs a shell"; fi
    size=$(of_image '{{.Size}}')
    layers=$(of_image '{{len .RootFS.Layers}}')
    ((size <= 10 * 1000 * 1000)) || fail "the image takes $size bytes, more than 10 MB"
    ((layers <= 4)) || fail "the image has $layers layers"
    ok "image: $((size / 1000)) kB in $layers layers, no shell, no libraries"
    quietly "the content of the image" python3 tests/images/built_image_test.py "$SANDSTORE_IMAGE"
    ok "image: a static program, owners, licences, a bill of materials that is true"
}
