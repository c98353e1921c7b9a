//! Measures the time and the allocations with which the core encodes and decodes:
//! `cargo bench -p lambda-mesh-bench-core --bench time`.

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use lambda_mesh_bench_core as cases;

/// All formats except `raw`, whose body is JSON.
const FORMATS: [&str; 9] = [
    "apigateway-v1",
    "apigateway-v2",
    "function-url",
    "alb",
    "alb-multi-value",
    "vpc-lattice-v1",
    "vpc-lattice-v2",
    "envoy",
    "template",
];

/// A format of each contract that allows binary bodies.
const CONTRACTS: [&str; 6] = [
    "apigateway-v1",
    "apigateway-v2",
    "function-url",
    "alb",
    "vpc-lattice-v2",
    "envoy",
];

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = FORMATS)]
fn encode_get(bencher: Bencher<'_, '_>, payload: &str) {
    let request = cases::get(payload);
    bencher.bench_local(|| request.encode());
}

#[divan::bench(args = FORMATS)]
fn encode_10_kb_json(bencher: Bencher<'_, '_>, payload: &str) {
    let request = cases::post_json(payload);
    bencher.bench_local(|| request.encode());
}

#[divan::bench(args = FORMATS)]
fn encode_1_mb_binary(bencher: Bencher<'_, '_>, payload: &str) {
    let request = cases::post_binary(payload);
    bencher
        .counter(BytesCount::new(1_000_000_usize))
        .bench_local(|| request.encode());
}

#[divan::bench(args = CONTRACTS)]
fn decode_1_kb_json(bencher: Bencher<'_, '_>, payload: &str) {
    let response = cases::small(payload);
    bencher.bench_local(|| response.decode());
}

#[divan::bench(args = CONTRACTS)]
fn decode_5_mb_binary(bencher: Bencher<'_, '_>, payload: &str) {
    let response = cases::binary(payload);
    bencher
        .counter(BytesCount::new(5_000_000_usize))
        .bench_local(|| response.decode());
}

#[divan::bench]
fn decode_1_mb_stream(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::new(1_000_000_usize))
        .with_inputs(|| cases::stream("apigateway-v2"))
        .bench_local_values(cases::Stream::decode);
}
