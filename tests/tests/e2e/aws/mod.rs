//! The invoker in front of a stand-in for AWS, which verifies every signature.

use lambda_mesh_tests::aws::Aws;
use lambda_mesh_tests::client::{Request, Response};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::shared::{Lease, Shared};

mod back_pressure;
mod check;
mod clients;
mod credentials;
mod drain;
mod mistakes;
mod proxy;
mod rust_client;
mod signatures;
mod stand_in;
mod streams;
mod whole;

/// Returns the stand-in for tests without refused requests. Each test has functions of its own.
fn shared() -> Lease<Aws> {
    static AWS: Shared<Aws> = Shared::new(Aws::with_sts);
    AWS.lease()
}

/// Returns an *Invoke* request for `function`.
fn request(invoker: &Invoker, function: &str) -> Request {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    Request::new(invoker.address(), "POST", path).body("{}")
}

/// Invokes `function`.
fn invoke(invoker: &Invoker, function: &str) -> Response {
    request(invoker, function).send()
}
