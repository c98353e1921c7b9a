# The images of lambda-mesh. They need BuildKit, which Docker uses by default since version 23. Before
# that, set DOCKER_BUILDKIT=1.
#
#   docker build --target sidecar-invoker --tag lambda-mesh/sidecar-invoker .
#   docker build --target envoy --tag lambda-mesh/envoy .
#   docker build --target dist --output target/dist .     # only the files
#
# For amd64 and arm64. Each is compiled on a machine of that platform, or slowly by emulation
# (--platform linux/arm64).

# With Bookworm's libc, programs run on all distributions since 2022 (glibc 2.34).
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
# Downloads and compiled crates stay in the builder's cache, so that a change compiles only what it touches.
RUN --mount=type=cache,id=lambda-mesh-cargo-$TARGETARCH,target=/usr/local/cargo/registry \
    --mount=type=cache,id=lambda-mesh-target-$TARGETARCH,target=/src/target \
    cargo xtask dist && cp -r target/dist /dist


FROM scratch AS dist
COPY --from=build /dist /


# Without a shell. To run local functions, copy the program into the image of your function instead.
FROM gcr.io/distroless/cc-debian12:nonroot AS sidecar-invoker
COPY --from=build /dist/sidecar-invoker /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["sidecar-invoker", "healthcheck"]
ENTRYPOINT ["sidecar-invoker"]
CMD ["serve", "--config", "/etc/lambda-mesh/invoker.yaml"]


# Envoy with the native module at /etc/envoy/liblambda_filter.so, and lambda_filter.wasm beside it. The invoker is in it for
# the health check, for `up`, and under the name `lrp`. By the link it finds both modules, and takes the native one.
FROM envoyproxy/envoy:v1.40.0 AS envoy
COPY --from=build /dist/lambda_filter.wasm /dist/liblambda_filter.so /etc/envoy/
COPY --from=build /dist/sidecar-invoker /usr/local/bin/
RUN mkdir -p /go/bin && ln -s /usr/local/bin/sidecar-invoker /go/bin/lrp && ln -s /etc/envoy /usr/local/share/lambda-mesh
# The entry point of the base image would start as root, and then change to this user.
USER 101:101
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["sidecar-invoker", "healthcheck", "http://127.0.0.1:9901/ready"]
ENTRYPOINT ["envoy"]
# Hot restart needs shared memory and a second process.
CMD ["--disable-hot-restart", "--config-path", "/etc/envoy/envoy.yaml"]


# In place of the image of the Lambda Reverse Proxy (docs/lrp.md): the same entry point and health check. Compose files
# call the curl of that image.
FROM envoy AS lrp
USER 0:0
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
USER 101:101
HEALTHCHECK --interval=3s --timeout=2s --start-period=1s CMD ["curl", "--fail", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/go/bin/lrp"]
CMD []
