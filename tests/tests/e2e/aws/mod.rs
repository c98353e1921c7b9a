//! What the invoker does in front of AWS, which a stand-in plays that verifies every signature.

use lambda_mesh_tests::aws::Aws;
use lambda_mesh_tests::client::{Answer, Request};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::shared::{Lease, Shared};

mod back_pressure;
mod check;
mod clients;
mod credentials;
mod drain;
mod mistakes;
mod rust_client;
mod signatures;
mod stand_in;
mod streams;
mod whole;

/// A stand-in for tests whose requests it accepts; each has functions of its own.
fn shared() -> Lease<Aws> {
    static AWS: Shared<Aws> = Shared::new(Aws::with_sts);
    AWS.lease()
}

/// An `Invoke` of `function` for the invoker.
fn request(invoker: &Invoker, function: &str) -> Request {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    Request::new(invoker.address(), "POST", path).body("{}")
}

/// What the invoker answers to it.
fn invoke(invoker: &Invoker, function: &str) -> Answer {
    request(invoker, function).send()
}
