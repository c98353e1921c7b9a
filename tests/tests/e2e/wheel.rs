//! The Python wheel: installed by pip into a fresh environment, it serves a template by itself.

use std::path::Path;
use std::process::Command;

use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up, python_function};

/// A runtime in JavaScript without packages.
const NODE: &str = "#!/usr/bin/env node
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
(async () => {
  for (;;) {
    const next = await fetch(api + 'next');
    const event = await next.json();
    const response = { statusCode: 200, body: 'node ' + event.rawPath };
    const id = next.headers.get('lambda-runtime-aws-request-id');
    await fetch(api + id + '/response', { method: 'POST', body: JSON.stringify(response) });
  }
})();
";

const TEMPLATE: &str = "Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 10, MemorySize: 512 } }
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      { Runtime: python3.13, Handler: app.handler, CodeUri: orders, Events: { Get: { Type: HttpApi, Properties: { Path: /orders, Method: GET } } } }
  Stock:
    Type: AWS::Serverless::Function
    Properties:
      { Runtime: python3.13, Handler: app.handler, CodeUri: stock, Events: { Get: { Type: HttpApi, Properties: { Path: '/stock/{id}', Method: GET } } } }
  Mail:
    Type: AWS::Serverless::Function
    Properties:
      { Runtime: provided.al2023, Handler: bootstrap, CodeUri: mail, Events: { Get: { Type: HttpApi, Properties: { Path: /mail, Method: GET } } } }
  Users:
    Type: AWS::Serverless::Function
    Properties:
      { Runtime: provided.al2023, Handler: bootstrap, CodeUri: mail, Events: { Get: { Type: HttpApi, Properties: { Path: /users, Method: ANY } } } }
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      { Runtime: provided.al2023, Handler: bootstrap, CodeUri: hello, Events: { Get: { Type: HttpApi, Properties: { Path: '/{proxy+}', Method: ANY } } } }
";

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
}

fn executable(path: &Path) {
    run(Command::new("chmod").arg("+x").arg(path));
}

#[test]
fn the_wheel_serves_five_functions_in_three_languages() {
    if Command::new("node").arg("--version").output().is_err() {
        xtask::skip(
            "the_wheel_serves_five_functions_in_three_languages",
            "node is missing",
        );
        return;
    }
    let folder = ProjectFolder::new(&[
        ("template.yaml", TEMPLATE),
        ("orders/app.py", &python_function("orders")),
        ("stock/app.py", &python_function("stock")),
        ("mail/bootstrap", NODE),
        ("hello/README", ""),
    ]);
    executable(&folder.path().join("mail/bootstrap"));
    let hello = xtask::build::example("hello").expect("an example");
    std::fs::copy(hello, folder.path().join("hello/bootstrap")).expect("a program");

    let wheel = xtask::dist::wheel(folder.path()).expect("a wheel");
    let environment = folder.path().join("environment");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment));
    let pip = environment.join("bin/pip");
    run(Command::new(pip)
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .arg(wheel));
    for name in ["lambda-mesh", "sidecar-invoker"] {
        let program = environment.join("bin").join(name);
        let output = Command::new(program)
            .arg("--version")
            .output()
            .expect("it starts");
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            version.contains(env!("CARGO_PKG_VERSION")),
            "{name}: {version}"
        );
    }

    // As by pipx: the environment is not on PATH.
    let mut command = Command::new(environment.join("bin/lambda-mesh"));
    command
        .current_dir(folder.path())
        .env_remove("LAMBDA_MESH_FILTER")
        .args([
            "up",
            "--port",
            "0",
            "--invoker-port",
            "0",
            "--admin-port",
            "0",
        ]);
    let up = Up::start(&command).expect("a served project");
    for (path, expected) in [
        ("/orders", "orders /orders"),
        ("/stock/7", "stock /stock/7"),
        ("/mail", "node /mail"),
        ("/users", "node /users"),
    ] {
        let response = up.request("GET", path).send();
        assert_eq!(
            (response.status, response.text()),
            (200, expected),
            "{}",
            up.log()
        );
    }
    let hello = Request::new(up.address, "POST", "/hi?x=1")
        .body("{\"a\":1}")
        .send();
    assert_eq!(hello.status, 201, "{}", hello.text());
    let by_name = up.request("GET", "/stock/7").host("mail.localhost").send();
    assert_eq!(by_name.text(), "node /stock/7");
}
