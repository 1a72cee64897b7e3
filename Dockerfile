# syntax=docker/dockerfile:1
# Builds the binary and puts it on a small base, with certificates to check a database's by.
#
#   docker build -t bursar .
#   docker run --rm --stop-timeout 30 -p 127.0.0.1:50051:50051 -v bursar:/var/lib/bursar bursar
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# What others wrote, in a layer of its own that is built again only when these two files change: the crate is empty here.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/compare tests/it tests/crash \
    && echo 'fn main() {}' \
        | tee src/main.rs build.rs benches/compare/main.rs tests/it/main.rs tests/crash/main.rs >src/lib.rs \
    && cargo build --release --locked --bin bursar

COPY build.rs ./
COPY proto proto
COPY catalogs catalogs
COPY migrations migrations
COPY traces traces
COPY src src
# Cargo goes by the time of a file, and these are older than what was built above.
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --release --locked --bin bursar \
    && install -d /data

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/bursar /usr/local/bin/bursar
# A volume takes its owner from the folder that it is first put on.
COPY --from=build --chown=65532:65532 /data /var/lib/bursar
USER 65532:65532
WORKDIR /var/lib/bursar
VOLUME /var/lib/bursar
# A container is reached from outside of it, and there are neither keys nor TLS: publish the ports on loopback addresses,
# or in a network of your own.
ENV BURSAR_DATABASE=/var/lib/bursar/bursar.db \
    BURSAR_GRPC_ADDR=0.0.0.0:50051 \
    BURSAR_HTTP_ADDR=0.0.0.0:8080 \
    BURSAR_INSECURE=true \
    BURSAR_LOG_FORMAT=json
EXPOSE 50051 8080
# Drains; whoever stops it should wait longer than --drain-seconds before killing it.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["bursar", "health"]
ENTRYPOINT ["bursar"]
CMD ["serve"]
