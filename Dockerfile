# The images of lambda-mesh. Needs BuildKit, which Docker has used by default since version 23
# (before: DOCKER_BUILDKIT=1).
#
#   docker build --target sidecar-invoker --tag lambda-mesh/sidecar-invoker .
#   docker build --target envoy --tag lambda-mesh/envoy .
#   docker build --target dist --output target/dist .     # the files alone
#
# For amd64 and arm64: each is compiled on a machine of its own kind, or, slowly, by emulation
# (--platform linux/arm64).

# Bookworm's libc makes programs that run on all distributions since 2022 (glibc 2.34).
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
# What was downloaded and compiled stays in the builder's cache: a change compiles what it touches.
RUN --mount=type=cache,id=lambda-mesh-cargo-$TARGETARCH,target=/usr/local/cargo/registry \
    --mount=type=cache,id=lambda-mesh-target-$TARGETARCH,target=/src/target \
    cargo xtask dist && cp -r target/dist /dist


FROM scratch AS dist
COPY --from=build /dist /


# Without a shell. It runs functions of its own only if you add what they need; to do so, copy
# the program into your function's image instead.
FROM gcr.io/distroless/cc-debian12:nonroot AS sidecar-invoker
COPY --from=build /dist/sidecar-invoker /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["sidecar-invoker", "healthcheck"]
ENTRYPOINT ["sidecar-invoker"]
CMD ["serve", "--config", "/etc/lambda-mesh/invoker.yaml"]


# Envoy with the filter at /etc/envoy/lambda_filter.wasm, where the configurations in envoy/ look
# for it. The invoker is there for the health check, and to stand in for the Lambda Reverse Proxy
# (docs/lrp.md).
FROM envoyproxy/envoy:v1.40.0 AS envoy
COPY --from=build /dist/lambda_filter.wasm /etc/envoy/
COPY --from=build /dist/sidecar-invoker /usr/local/bin/
ENV LAMBDA_MESH_FILTER=/etc/envoy/lambda_filter.wasm
RUN mkdir -p /go/bin && ln -s /usr/local/bin/sidecar-invoker /go/bin/lrp
# The image's own entry point would start as root, to change to this user.
USER 101:101
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["sidecar-invoker", "healthcheck", "http://127.0.0.1:9901/ready"]
ENTRYPOINT ["envoy"]
# Hot restart needs shared memory, and a second process beside the first.
CMD ["--disable-hot-restart", "--config-path", "/etc/envoy/envoy.yaml"]
