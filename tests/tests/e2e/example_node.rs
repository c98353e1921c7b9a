//! `examples/node/bootstrap`: a runtime for Node.js in one file.

use std::process::Command;

use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use serde_json::json;

const CODE: &str = "export const handler = async (event, context) => {
  if (event.rawPath === '/broken') throw new TypeError('the price is lost')
  if (event.rawPath === '/huge') return 'a'.repeat(7 << 20)
  return { path: event.rawPath, hasTime: context.getRemainingTimeInMillis() > 0, id: context.awsRequestId.length }
}
";

#[test]
fn a_runtime_in_one_file_runs_the_handler_beside_it() {
    let Some((_folder, up)) = up("the runtime of Node.js in one file", CODE) else {
        return;
    };
    for path in ["/tea", "/coffee"] {
        let response = up.request("GET", path).send();
        let expected = json!({ "path": path, "hasTime": true, "id": 36 });
        assert_eq!(response.json(), expected, "{}", up.log());
    }
    // An error leaves the environment as it is.
    assert_eq!(up.request("GET", "/broken").send().status, 500);
    assert!(up.log_with("TypeError").contains("the price is lost"));
    assert_eq!(up.request("GET", "/tea").send().status, 200);
    // So does an answer that is refused.
    assert_eq!(up.request("GET", "/huge").send().status, 500);
    up.log_with("/response is refused with status 413");
    assert_eq!(up.request("GET", "/tea").send().status, 200);
    assert_eq!(up.log().matches("Init Duration").count(), 1, "{}", up.log());
}

#[test]
fn a_handler_with_a_callback_and_an_error_without_a_stack_fail_the_init() {
    for (code, expected) in [
        (
            "export const handler = (event, context, callback) => callback(null, 'lost')",
            "handler takes a callback",
        ),
        (
            "const error = new Error('no shelf'); delete error.stack; throw error",
            "no shelf",
        ),
    ] {
        let Some((_folder, up)) = up("a failed init of the runtime of Node.js", code) else {
            return;
        };
        assert_eq!(up.request("GET", "/").send().status, 500);
        up.log_with(expected);
        up.log_with("Phase: init\tStatus: error");
    }
}

/// Serves this code with the runtime beside it, or records that there is no Node.js.
fn up(test: &str, code: &str) -> Option<(ProjectFolder, Up)> {
    if Command::new("node").arg("--version").output().is_err() {
        xtask::skip(test, "`node` is not on PATH");
        return None;
    }
    let folder = ProjectFolder::with_examples();
    folder.write("prices/index.mjs", code);
    std::fs::copy(
        folder.path().join("examples/node/bootstrap"),
        folder.path().join("prices/bootstrap"),
    )
    .expect("a shipped file");
    let mut command = folder.command();
    command.arg("prices");
    let up = Up::start(&command).expect("a served project");
    Some((folder, up))
}
