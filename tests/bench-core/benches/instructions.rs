//! Counts the instructions with which the core encodes and decodes: `cargo xtask bench-core`.
#![expect(missing_docs, reason = "gungraun makes each function and group public")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use lambda_filter_core::response::HttpResponse;
use lambda_mesh_bench_core::{self as cases, RequestCase, ResponseCase, Stream};

// The functions return their input, so that freeing it is not counted.

#[library_benchmark(setup = cases::get)]
#[bench::apigateway_v1("apigateway-v1")]
#[bench::apigateway_v2("apigateway-v2")]
#[bench::function_url("function-url")]
#[bench::alb("alb")]
#[bench::alb_multi_value("alb-multi-value")]
#[bench::vpc_lattice_v1("vpc-lattice-v1")]
#[bench::vpc_lattice_v2("vpc-lattice-v2")]
#[bench::envoy("envoy")]
#[bench::raw("raw")]
#[bench::template("template")]
fn encode_get(request: RequestCase) -> (Vec<u8>, RequestCase) {
    (request.encode(), request)
}

#[library_benchmark(setup = cases::post_json)]
#[bench::apigateway_v1("apigateway-v1")]
#[bench::apigateway_v2("apigateway-v2")]
#[bench::function_url("function-url")]
#[bench::alb("alb")]
#[bench::alb_multi_value("alb-multi-value")]
#[bench::vpc_lattice_v1("vpc-lattice-v1")]
#[bench::vpc_lattice_v2("vpc-lattice-v2")]
#[bench::envoy("envoy")]
#[bench::raw("raw")]
#[bench::template("template")]
fn encode_10_kb_json(request: RequestCase) -> (Vec<u8>, RequestCase) {
    (request.encode(), request)
}

#[library_benchmark(setup = cases::post_binary)]
#[bench::apigateway_v1("apigateway-v1")]
#[bench::apigateway_v2("apigateway-v2")]
#[bench::function_url("function-url")]
#[bench::alb("alb")]
#[bench::alb_multi_value("alb-multi-value")]
#[bench::vpc_lattice_v1("vpc-lattice-v1")]
#[bench::vpc_lattice_v2("vpc-lattice-v2")]
#[bench::envoy("envoy")]
#[bench::template("template")]
fn encode_1_mb_binary(request: RequestCase) -> (Vec<u8>, RequestCase) {
    (request.encode(), request)
}

// A format that is missing below shares the contract of another one.

#[library_benchmark(setup = cases::small)]
#[bench::apigateway_v1("apigateway-v1")]
#[bench::apigateway_v2("apigateway-v2")]
#[bench::function_url("function-url")]
#[bench::alb("alb")]
#[bench::vpc_lattice_v2("vpc-lattice-v2")]
#[bench::envoy("envoy")]
#[bench::raw("raw")]
fn decode_1_kb_json(response: ResponseCase) -> (HttpResponse, ResponseCase) {
    (response.decode(), response)
}

#[library_benchmark(setup = cases::binary)]
#[bench::apigateway_v1("apigateway-v1")]
#[bench::apigateway_v2("apigateway-v2")]
#[bench::function_url("function-url")]
#[bench::alb("alb")]
#[bench::vpc_lattice_v2("vpc-lattice-v2")]
#[bench::envoy("envoy")]
fn decode_5_mb_binary(response: ResponseCase) -> (HttpResponse, ResponseCase) {
    (response.decode(), response)
}

#[library_benchmark(setup = cases::stream)]
#[bench::apigateway_v2("apigateway-v2")]
fn decode_1_mb_stream(stream: Stream) -> usize {
    stream.decode()
}

library_benchmark_group!(
    name = core,
    benchmarks = [
        encode_get,
        encode_10_kb_json,
        encode_1_mb_binary,
        decode_1_kb_json,
        decode_5_mb_binary,
        decode_1_mb_stream
    ]
);

main!(library_benchmark_groups = core);
