# One image for everything that runs in containers: `sandstore` (node, command line, tools) and `smoke`.
# Plain Dockerfile instructions only, so that the classic builder builds it as well as BuildKit.

# --- Build ------------------------------------------------------------------------------------------------------------
FROM debian:bookworm-slim AS build
# Before the sources are copied, so that a changed source does not install the packages again.
COPY scripts/setup /source/scripts/setup
RUN /source/scripts/setup --build-only
COPY . /source
ARG SANDSTORE_COMMIT=unknown
RUN cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSANDSTORE_TESTS=OFF \
        -DSANDSTORE_COMMIT="${SANDSTORE_COMMIT}" \
    && cmake --build /build --target sandstore smoke \
    && mkdir -p /image/usr/local/bin /image/var/lib/sandstore /image/var/log/sandstore \
    && strip -o /image/usr/local/bin/sandstore /build/sandstore \
    && strip -o /image/usr/local/bin/smoke /build/smoke

# --- What the containers run ------------------------------------------------------------------------------------------
FROM debian:bookworm-slim
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        libcurl4 libevent-2.1-7 libfmt9 libgflags2.2 libisal2 libjsoncpp25 libprotobuf32 libspdlog1.10 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 sandstore \
    && useradd --uid 10001 --gid sandstore --home-dir /var/lib/sandstore --no-create-home \
        --shell /usr/sbin/nologin sandstore
COPY --from=build /image/usr/local/bin/ /usr/local/bin/
# A named volume takes over the owner of the directory it is mounted on.
COPY --from=build --chown=10001:10001 /image/var/lib/sandstore/ /var/lib/sandstore/
COPY --from=build --chown=10001:10001 /image/var/log/sandstore/ /var/log/sandstore/

ARG SANDSTORE_COMMIT=unknown
ARG SANDSTORE_VERSION=0.1.0
LABEL org.opencontainers.image.title="Sandstore" \
      org.opencontainers.image.description="A distributed file store: nodes, command line and smoke check" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${SANDSTORE_VERSION}" \
      org.opencontainers.image.revision="${SANDSTORE_COMMIT}" \
      org.opencontainers.image.base.name="debian:bookworm-slim"

USER 10001:10001
EXPOSE 8080 9400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1s --timeout=3s --start-period=30s --retries=5 CMD ["/usr/local/bin/sandstore", "health"]
ENTRYPOINT ["/usr/local/bin/sandstore"]
CMD ["--help"]
