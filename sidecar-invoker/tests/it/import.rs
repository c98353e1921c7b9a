//! Functions that are imported from a template.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Invoker, fixture};

#[tokio::test]
async fn an_imported_function_has_the_settings_of_the_template_and_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().canonicalize().unwrap();
    let code = directory.join("code");
    std::fs::create_dir(&code).unwrap();
    let bootstrap = code.join("bootstrap");
    let script = format!("#!/bin/sh\nexec python3 {}\n", fixture());
    std::fs::write(&bootstrap, script).unwrap();
    std::fs::set_permissions(&bootstrap, PermissionsExt::from_mode(0o755)).unwrap();
    let template = "
Globals: { Function: { Timeout: 10, MemorySize: 512 } }
Resources:
  f:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: my.handler
      Runtime: provided.al2023
      Environment: { Variables: { TABLE: !Ref Table, SELF: !Ref f } }
";
    let file = directory.join("template.yaml");
    std::fs::write(&file, template).unwrap();
    let file = file.to_str().unwrap();
    let invoker = Invoker::start(&format!(
        "import: {file}\nfunctions: {{ f: {{ local: {{ env: {{ TABLE: orders }} }} }} }}"
    ))
    .await;
    let env = invoker.invoke(json!({})).await.json()["env"].clone();
    assert_eq!(env["TABLE"], "orders");
    assert_eq!(env["SELF"], "f");
    assert_eq!(env["_HANDLER"], "my.handler");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "512");
    assert_eq!(env["LAMBDA_TASK_ROOT"], code.to_str().unwrap());
}
