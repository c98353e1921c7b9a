//! How long the core takes to encode and to decode, and how often it allocates:
//! `cargo bench -p lambda-mesh-bench-core --bench time`.

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use lambda_mesh_bench_core as cases;

/// All formats but `raw`, whose body is JSON.
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

/// One format of each contract with a place for bytes.
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
    let asked = cases::get(payload);
    bencher.bench_local(|| asked.encode());
}

#[divan::bench(args = FORMATS)]
fn encode_10_kb_json(bencher: Bencher<'_, '_>, payload: &str) {
    let asked = cases::post_json(payload);
    bencher.bench_local(|| asked.encode());
}

#[divan::bench(args = FORMATS)]
fn encode_1_mb_binary(bencher: Bencher<'_, '_>, payload: &str) {
    let asked = cases::post_binary(payload);
    bencher
        .counter(BytesCount::new(1_000_000_usize))
        .bench_local(|| asked.encode());
}

#[divan::bench(args = CONTRACTS)]
fn decode_1_kb_json(bencher: Bencher<'_, '_>, payload: &str) {
    let answered = cases::small(payload);
    bencher.bench_local(|| answered.decode());
}

#[divan::bench(args = CONTRACTS)]
fn decode_5_mb_binary(bencher: Bencher<'_, '_>, payload: &str) {
    let answered = cases::binary(payload);
    bencher
        .counter(BytesCount::new(5_000_000_usize))
        .bench_local(|| answered.decode());
}

#[divan::bench]
fn decode_1_mb_stream(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::new(1_000_000_usize))
        .with_inputs(|| cases::stream("apigateway-v2"))
        .bench_local_values(cases::Stream::decode);
}
