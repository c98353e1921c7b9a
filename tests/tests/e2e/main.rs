//! End-to-end tests: the promises of lambda-mesh, shown through a real Envoy. Each file has one behaviour.
//! The harness is the library of this package.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod service;

mod asynchronous;
mod aws;
mod aws_direct;
mod binary_bodies;
mod body_sizes;
mod bodyless;
mod broken_upstreams;
mod chaos;
mod configuration;
mod console;
mod cookies;
mod disconnects;
mod emulator;
mod envoy_config;
mod envoy_gateway;
mod envoy_versions;
mod event_command;
mod example_custom_runtime;
mod example_lambda_reverse_proxy;
mod example_lamp;
mod example_node;
mod example_private_api;
mod example_private_microservice;
mod forged_requests;
mod function_errors;
mod golden;
mod headers;
mod identity;
mod invoke_request;
mod istio;
mod kubernetes;
mod local_streams;
mod lrp;
mod metadata;
mod methods;
mod mirrors;
mod monitoring;
mod native;
mod payload_limit;
mod payloads;
mod proof;
mod query;
mod response_headers;
mod retries;
mod routes;
mod service_errors;
mod shipped;
mod shipped_access_log;
mod shipped_aws;
mod shipped_clients;
mod shipped_files;
mod shipped_protected;
mod shipped_routing;
mod statistics;
mod streaming;
mod templates;
mod traces;
mod trailers;
mod transports;
mod up;
mod web_pages;
mod wheel;
