# One image for everything that runs in containers: a static program on an empty root, which answers to the names
# `sandstore` (node, command line, tools) and `smoke`. docs/images.md explains it. Only what the classic builder
# understands too: no mounts, no heredocs.

# --- What to build: a wrong choice ends the build here, before anything else happens ----------------------------------
FROM --platform=${BUILDPLATFORM:-linux/amd64} debian:bookworm-slim AS selection
COPY scripts/build-profile scripts/build-profile.awk scripts/profiles.txt /source/scripts/
ARG PROFILE
ARG COMMUNICATOR
ARG DISCOVERY
ARG REPLICATOR
ARG CHUNK_STORE
ARG TRACE
ARG TOOLS
RUN set -- "PROFILE=$PROFILE" "COMMUNICATOR=$COMMUNICATOR" "DISCOVERY=$DISCOVERY" "REPLICATOR=$REPLICATOR" \
        "CHUNK_STORE=$CHUNK_STORE" "TRACE=$TRACE" "TOOLS=$TOOLS" \
    && /source/scripts/build-profile "$@" \
    && printf '%s\n' "$@" | sed 's/^/-DSANDSTORE_/' >/selection

# --- Build: what changes least comes first, so that a changed source compiles and does nothing more -------------------
FROM --platform=${BUILDPLATFORM:-linux/amd64} debian:bookworm-slim AS build
# The architecture of the image; buildx sets it, the classic builder leaves it empty: that of this machine.
ARG TARGETARCH
COPY scripts/setup /source/scripts/setup
RUN /source/scripts/setup --static ${TARGETARCH}
COPY scripts/static-libraries /source/scripts/static-libraries
RUN /source/scripts/static-libraries /libraries ${TARGETARCH} \
    && cd /tmp && apt-get download -q "busybox-static${TARGETARCH:+:$TARGETARCH}" \
    && dpkg -x busybox-static_*.deb /busybox && rm busybox-static_*.deb
COPY CMakeLists.txt /source/
COPY messages /source/messages
COPY runtime /source/runtime
COPY net /source/net
COPY actors /source/actors
COPY client /source/client
COPY services /source/services
COPY apps /source/apps
COPY scripts/build-profile scripts/build-profile.awk scripts/build-profile.cmake scripts/profiles.txt \
    scripts/static-libraries.cmake /source/scripts/
# First everything that depends neither on the profile nor on the commit: with another one of these, the program is
# linked anew, and that is all.
RUN cmake --toolchain /libraries/toolchain.cmake -S /source -B /build -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DSANDSTORE_STATIC=ON -DSANDSTORE_TESTS=OFF -DSANDSTORE_COMMIT=unknown \
    && cmake --build /build --target sandstore_commands
COPY scripts/image-root scripts/sbom scripts/sbom.awk /source/scripts/
COPY --from=selection /selection /selection
ARG SANDSTORE_COMMIT=unknown
ARG CREATED=1970-01-01T00:00:00Z
RUN xargs -a /selection cmake -DSANDSTORE_COMMIT="$SANDSTORE_COMMIT" /build \
    && cmake --build /build --target sandstore \
    && /source/scripts/image-root /build /libraries /image "$CREATED"

# --- What the containers run ------------------------------------------------------------------------------------------
FROM scratch AS node
COPY --from=build /image/root/ /
# A named volume takes over the owner of the directory it is mounted on.
COPY --from=build --chown=10001:10001 /image/empty/ /var/lib/sandstore/
COPY --from=build --chown=10001:10001 /image/empty/ /var/log/sandstore/
ARG PROFILE
ARG COMMUNICATOR
ARG DISCOVERY
ARG REPLICATOR
ARG CHUNK_STORE
ARG TRACE
ARG TOOLS
ARG SANDSTORE_COMMIT=unknown
ARG SANDSTORE_VERSION=0.1.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Sandstore" \
      org.opencontainers.image.description="A distributed file store: nodes, command line and smoke check" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${SANDSTORE_VERSION}" \
      org.opencontainers.image.revision="${SANDSTORE_COMMIT}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="scratch" \
      sandstore.profile="${PROFILE:-default-etcd}" \
      sandstore.communicator="${COMMUNICATOR}" \
      sandstore.discovery="${DISCOVERY}" \
      sandstore.replicator="${REPLICATOR}" \
      sandstore.chunk-store="${CHUNK_STORE}" \
      sandstore.trace="${TRACE}" \
      sandstore.tools="${TOOLS}"
USER 10001:10001
EXPOSE 8080 9400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1s --timeout=3s --start-period=30s --retries=5 CMD ["/usr/local/bin/sandstore", "health"]
ENTRYPOINT ["/usr/local/bin/sandstore"]
CMD ["--help"]

# --- The same with a shell, for looking around: docker build --target debug -------------------------------------------
FROM node AS debug
COPY --from=build /image/shell/ /bin/

# --- Without a target: the image for the nodes ------------------------------------------------------------------------
FROM node
