//! The components that most tests share: the function under test behind the real invoker behind Envoy.

use std::ops::Deref;
use std::path::Path;

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::{Component, Lease, Shared};
use serde_json::{Value, json};

/// Returns the program of `src/bin/probe.rs`.
pub(crate) fn probe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_probe"))
}

/// Returns the `functions` of an `invoker.yaml` with the function `probe`.
pub(crate) fn functions() -> Value {
    json!({ "probe": { "local": { "command": [probe()], "timeout": "30s" } } })
}

/// Envoy in front of the invoker with the function `probe`.
pub(crate) struct Service {
    invoker: Invoker,
    mesh: Mesh,
}

impl Deref for Service {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}

impl Component for Service {
    fn log(&self) -> String {
        self.invoker.log() + &self.mesh.log()
    }

    fn alive(&self) -> bool {
        self.invoker.alive() && self.mesh.alive()
    }
}

/// Returns the shared [`Service`].
pub(crate) fn service() -> Lease<Service> {
    static SERVICE: Shared<Service> = Shared::new(|| {
        let invoker = Invoker::start(&functions());
        let mesh = Mesh::to(&invoker).start();
        Service { invoker, mesh }
    });
    SERVICE.lease()
}

/// Makes the function return `payload`, and returns the response.
pub(crate) fn echo_payload(payload: &Value) -> lambda_mesh_tests::client::Response {
    service().post("/reply", payload.to_string()).send()
}
