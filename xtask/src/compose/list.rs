//! The Compose files, the requests to each, and what its containers log.

use std::path::PathBuf;

use super::calls::Call;
use crate::workspace_root;

/// A Compose file, and what its services have to do.
pub(super) struct ComposeTest {
    /// The name on the command line.
    pub(super) name: &'static str,
    /// The Compose file, relative to the workspace.
    pub(super) file: &'static str,
    /// The port that the file publishes, if it cannot be chosen.
    pub(super) port: Option<u16>,
    /// The service with Envoy, which has the native module.
    pub(super) envoy: &'static str,
    /// The images of this project that the file makes or begins with. Their stage has the same name.
    pub(super) own_images: &'static [&'static str],
    /// Says that all services run as ordinary users.
    pub(super) is_hardened: bool,
    pub(super) calls: &'static [Call],
    /// Texts in the logs of services.
    pub(super) logs: &'static [(&'static str, &'static str)],
}

impl ComposeTest {
    /// Returns the folder to which paths in the Compose file are relative.
    pub(super) fn folder(&self) -> PathBuf {
        let file = workspace_root().join(self.file);
        file.parent().unwrap_or(workspace_root()).to_owned()
    }
}

const HIPCHAT: &str = "hipchat.private.example.com";
const ROOM: &str = "/v2/room/Ops%20Team/notification";

/// All Compose files. The names are those of folders in `examples/`.
pub(super) const COMPOSE_TESTS: [ComposeTest; 6] = [
    ComposeTest {
        name: "docker-compose",
        file: "docker-compose.yaml",
        port: None,
        envoy: "envoy",
        own_images: &[],
        is_hardened: true,
        calls: &[
            Call::get("orders.lambda.internal", "/hi?x=1", "hello from Python"),
            Call::get("billing.lambda.internal", "/hi?x=1", "hello from Node.js"),
            Call::get("nobody.lambda.internal", "/", "").with_status(404),
        ],
        logs: &[],
    },
    ComposeTest {
        name: "private-api",
        file: "examples/private-api/compose.yaml",
        port: None,
        envoy: "envoy",
        own_images: &["envoy"],
        is_hardened: true,
        calls: &[
            Call::get(
                "my-private-service.internal",
                "/orders?page=2",
                r#""page":2"#,
            ),
            Call::post(
                "my-private-service.internal",
                "/orders",
                r#"{"item":"a","quantity":0}"#,
                422,
            )
            .with_headers(&[("content-type", "application/json")]),
            Call::get("my-private-service.internal", "/nothing", "").with_status(404),
            Call::get("content.my-private-service.internal", "/nothing", ""),
            Call::get("response.my-private-service.internal", "/nothing", "").with_status(404),
        ],
        // By the private name, from another container.
        logs: &[("caller", r#""page":2"#)],
    },
    ComposeTest {
        name: "serverless-lamp",
        file: "examples/serverless-lamp/compose.yaml",
        port: None,
        envoy: "website",
        own_images: &["envoy"],
        is_hardened: true,
        calls: &[
            Call::get("localhost", "/", "Hello, stranger"),
            Call::get("localhost", "/nothing", "").with_status(404),
        ],
        logs: &[("website", "REPORT")],
    },
    ComposeTest {
        name: "private-microservice",
        file: "examples/private-microservice/compose.yaml",
        port: None,
        envoy: "gateway",
        own_images: &["envoy"],
        is_hardened: true,
        calls: &[
            Call::post(
                HIPCHAT,
                ROOM,
                r#"{"message":"deployed","color":"green"}"#,
                204,
            )
            .with_headers(&[("authorization", "Bearer orders-token")]),
            Call::post(HIPCHAT, ROOM, r#"{"message":"spam"}"#, 401)
                .with_headers(&[("authorization", "Bearer guess")]),
        ],
        logs: &[
            ("slack", "#ops-team deployed"),
            ("slack", "#ops-team still alive"),
            ("caller", "204"),
        ],
    },
    ComposeTest {
        name: "custom-runtime",
        file: "examples/custom-runtime/compose.yaml",
        port: None,
        envoy: "runtimes",
        own_images: &["envoy"],
        is_hardened: true,
        calls: &[
            Call::get("localhost", "/capital", r#""capital":"#),
            Call::get("localhost", "/php/capital", r#""capital":"#),
            Call::get("localhost", "/capital", r#""capital":"#),
            Call::get("localhost", "/error", "").with_status(500),
            Call::get("localhost", "/broken", "").with_status(500),
        ],
        logs: &[
            ("runtimes", "cold start: function.handler"),
            ("runtimes", "cold start: function.php"),
            ("runtimes", "warm start: invocation 2"),
            ("runtimes", "Runtime.NoSuchHandler"),
        ],
    },
    ComposeTest {
        name: "lambda-reverse-proxy",
        file: "examples/lambda-reverse-proxy/docker-compose.yaml",
        port: Some(41414),
        envoy: "proxy",
        own_images: &["lrp"],
        // The file of another project, with no change but the image.
        is_hardened: false,
        calls: &[
            Call::get("foo.domain.lb", "/hi?x=1", "hello from Python"),
            Call::get("bar.domain.lb", "/hi?x=1", "hello from Node.js"),
            Call::get("localhost", "/__@@__/ping", "pong"),
        ],
        logs: &[],
    },
];
