# The image of the demand context manager: of the service, `demand serve`, and of the worker in the
# jobs that move data, `demand sync --task`. deploy/README.md tells how to build it.
#
# Tags move when their packages are mended. For the same bytes again, pin digests:
#
#     docker buildx imagetools inspect debian:trixie-slim            # tells the digest
#     docker build --build-arg DEBIAN_IMAGE=debian:trixie-slim@sha256:… .
#
# Both are of one release of Debian: the program is linked to the first one's glibc.
ARG RUST_IMAGE=rust:1.95.0-slim-trixie
ARG DEBIAN_IMAGE=debian:trixie-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# For the dependencies too: cargo builds them again when their profile changes.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# Dependencies first, with nothing of ours: this layer stays until a manifest changes. The test and
# the benchmark are those that Cargo.toml names without a path; cargo wants to find them.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/aws benches \
    && touch src/lib.rs tests/aws/main.rs benches/plan.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --bin demand

COPY migrations migrations
COPY openapi openapi
COPY src src
# COPY keeps the files' times, and cargo takes files older than its last build for built.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin demand

FROM ${DEBIAN_IMAGE}
# The user that deploy/ runs it as, by number. It owns /data and nothing else.
RUN groupadd --gid 1000 demand \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin demand \
    && install --directory --owner=1000 --group=1000 --mode=0700 /data
# Copied, not installed: no package index, no package versions to pin.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/demand /usr/local/bin/demand

# Who may call is for those who deploy to say: without DEMAND_ALLOWED_HOSTS and tokens (or
# DEMAND_AUTH__JWT__…) the service does not start on an address beyond loopback.
ENV DEMAND_LISTEN=0.0.0.0:8080 \
    DEMAND_STORE__PATH=/data/demand.sqlite3
USER 1000:1000
# The root file system may be read-only. Written are the database, and temporary files in /tmp, for
# which a read-only root needs a tmpfs.
VOLUME ["/data"]
EXPOSE 8080
# The first asks the service to end, see lifecycle.shutdown_grace; a second ends it at once.
STOPSIGNAL SIGTERM
# Whether it lives, not whether it is ready: a new start mends nothing while AWS does not answer.
# ECS does not look at this, nor should anybody in the worker's jobs, where nothing listens.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD ["demand", "health", "--live"]
# No entry point: jobs bring their own command.
CMD ["demand", "serve"]

# Last, since they change with every build.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="demand-context-manager" \
    org.opencontainers.image.description="Takes a demand execution, plans it, runs it on AWS Batch or on this machine, and tells its status" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
