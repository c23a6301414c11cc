# sidepass as an image: one static binary, nothing else.
#
#   docker build -t sidepass:0.1.0 .
#   docker run --rm -v ./proxy.yaml:/etc/sidepass/proxy.yaml:ro sidepass:0.1.0 check
#
# Every architecture builds natively (its own runner, or emulation). tests/image/build makes the same binary without a
# container engine; keep the two alike.

FROM rust:1.95-bookworm AS build
WORKDIR /src

# +crt-static needs an explicit --target, so that build scripts and proc macros stay dynamic. glibc 2.36 resolves names
# from inside a static binary. The AWS_LC_* pair is also in .cargo/config.toml; here it holds whatever is copied.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    AWS_LC_SYS_USE_SYSTEM=0 \
    AWS_LC_SYS_NO_JITTER_ENTROPY=1

# .dockerignore lets in what the build needs and nothing else.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    target="$(rustc --print host-tuple)" \
    && cargo build --locked --profile dist --target "$target" --bin sidepass \
    && install -D "target/$target/dist/sidepass" /out/sidepass


FROM scratch AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sidepass" \
      org.opencontainers.image.description="A sidecar that carries your pass: plain HTTP requests in, requests with fresh OAuth2 tokens out." \
      org.opencontainers.image.source="https://github.com/sidepass/sidepass" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

COPY --from=build /out/sidepass /sidepass

# Mount the configuration here. It is also where the commands look by default (./proxy.yaml), so `check`, `explain GET /x`
# and `token PROFILE` need no --config.
WORKDIR /etc/sidepass

# A number, because Kubernetes' runAsNonRoot cannot judge a name and there is no /etc/passwd.
USER 65532:65532

# 4080 proxy, 4090 admin (probes, metrics, status).
EXPOSE 4080 4090

HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/sidepass", "healthcheck", "--config", "/etc/sidepass/proxy.yaml"]

ENTRYPOINT ["/sidepass"]
CMD ["run", "--config", "/etc/sidepass/proxy.yaml"]
