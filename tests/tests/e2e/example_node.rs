//! `examples/node/bootstrap`: a runtime for Node.js in one file.

use std::process::Command;

use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use serde_json::json;

const CODE: &str = "export const handler = async (event, context) => {
  if (event.rawPath === '/broken') throw new TypeError('the price is lost')
  return { path: event.rawPath, hasTime: context.getRemainingTimeInMillis() > 0, id: context.awsRequestId.length }
}
";

#[test]
fn a_runtime_in_one_file_runs_the_handler_beside_it() {
    if Command::new("node").arg("--version").output().is_err() {
        return xtask::skip(
            "the runtime of Node.js in one file",
            "`node` is not on PATH",
        );
    }
    let folder = ProjectFolder::with_examples();
    let code = folder.path().join("prices");
    std::fs::create_dir(&code).expect("a folder in a temporary folder");
    std::fs::copy(
        folder.path().join("examples/node/bootstrap"),
        code.join("bootstrap"),
    )
    .expect("a shipped file");
    folder.write("prices/index.mjs", CODE);
    let mut command = folder.command();
    command.arg("prices");
    let up = Up::start(&command).expect("a served project");

    for path in ["/tea", "/coffee"] {
        let response = up.request("GET", path).send();
        let expected = json!({ "path": path, "hasTime": true, "id": 36 });
        assert_eq!(response.json(), expected, "{}", up.log());
    }
    // An error leaves the environment as it is.
    assert_eq!(up.request("GET", "/broken").send().status, 500);
    assert!(up.log_with("TypeError").contains("the price is lost"));
    assert_eq!(up.request("GET", "/tea").send().status, 200);
    assert_eq!(up.log().matches("Init Duration").count(), 1, "{}", up.log());
}
