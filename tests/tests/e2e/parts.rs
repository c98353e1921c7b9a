//! The parts that most tests share: the function under test behind the real invoker, behind
//! Envoy.

use std::ops::Deref;
use std::path::Path;

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::{Lease, Part, Shared};
use serde_json::{Value, json};

/// The program of `src/bin/probe.rs`.
pub fn probe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_probe"))
}

/// `functions` of an `invoker.yaml` with the function `probe`.
pub fn functions() -> Value {
    json!({ "probe": { "local": { "command": [probe()], "timeout": "30s" } } })
}

/// Envoy before the invoker before `probe`, which answers every request.
pub struct Service {
    invoker: Invoker,
    mesh: Mesh,
}

impl Deref for Service {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}

impl Part for Service {
    fn log(&self) -> String {
        self.invoker.log() + &self.mesh.log()
    }

    fn alive(&self) -> bool {
        self.invoker.alive() && self.mesh.alive()
    }
}

/// The shared [`Service`].
pub fn service() -> Lease<Service> {
    static SERVICE: Shared<Service> = Shared::new(|| {
        let invoker = Invoker::start(&functions());
        let mesh = Mesh::to(&invoker).start();
        Service { invoker, mesh }
    });
    SERVICE.lease()
}

/// What `POST /reply` makes the function answer, as `answer`.
pub fn reply(payload: &Value) -> lambda_mesh_tests::client::Answer {
    service().post("/reply", payload.to_string()).send()
}
