# fanfare alone in an image: one static program, the authorities that the system trusts, and nobody's rights.
#
#     docker build -t fanfare .
#     docker run --rm -p 8040:8040 -v "$PWD/fanfare.toml:/etc/fanfare.toml:ro" fanfare
#
# The file has to say listen = "0.0.0.0:8040", and who may do what: beyond its own loopback the daemon does not start without.
FROM rust:1-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends musl-tools \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package fanfare --target "$(uname -m)-unknown-linux-musl" \
    && strip -o /fanfare "target/$(uname -m)-unknown-linux-musl/release/fanfare"

FROM scratch
# For --jwks-url.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /fanfare /usr/local/bin/fanfare
ENV PATH=/usr/local/bin
# nobody; a port below 1024 is no privilege in a container of Docker's.
USER 65534:65534
EXPOSE 8040
STOPSIGNAL SIGTERM
ENTRYPOINT ["fanfare"]
CMD ["serve", "--config", "/etc/fanfare.toml"]
