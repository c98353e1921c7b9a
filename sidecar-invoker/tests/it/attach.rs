//! Functions whose processes somebody else starts.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Gate, Invoker, eventually, exists, fixture};

/// A process that asks for invocations at an address.
struct Attached(Child);

impl Attached {
    fn start(address: &str) -> Self {
        let mut command = Command::new("python3");
        command
            .arg(fixture())
            .env("AWS_LAMBDA_RUNTIME_API", address);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns an address that nobody uses.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts an invoker with a function `f` for processes that attach.
async fn start(address: &str, keys: &str) -> Invoker {
    let local = format!("{{ attach: \"{address}\", timeout: 20s, {keys} }}");
    let invoker = Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await;
    eventually("the Runtime API", async || {
        std::net::TcpStream::connect(address).is_ok().then_some(())
    })
    .await;
    invoker
}

#[tokio::test]
async fn a_process_serves_as_soon_as_it_attaches() {
    let address = free_address();
    let invoker = start(&address, "").await;
    // The caller waits for the process.
    let call = invoker.invoke(json!({ "n": 1 }));
    let attach = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Attached::start(&address)
    };
    let (response, process) = tokio::join!(call, attach);
    assert_eq!(response.json()["event"]["n"], 1);
    let pid = response.json()["pid"].clone();
    assert_eq!(pid, process.0.id());
    for n in 0..20 {
        let response = invoker.invoke(json!({ "n": n })).await.json();
        assert_eq!(
            (&response["event"]["n"], &response["pid"]),
            (&json!(n), &pid)
        );
    }
    invoker.stop().await;
}

#[tokio::test]
async fn several_processes_run_at_once() {
    let address = free_address();
    let invoker = start(&address, "concurrency: 2").await;
    let _processes = [Attached::start(&address), Attached::start(&address)];
    let gates = [Gate::new(), Gate::new()];
    let open = async {
        for gate in &gates {
            exists(&gate.path("begun")).await;
        }
        gates.iter().for_each(Gate::open);
    };
    let [first, second] = &gates;
    let (one, other, ()) = tokio::join!(
        invoker.invoke(first.event()),
        invoker.invoke(second.event()),
        open
    );
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
}

#[tokio::test]
async fn the_call_of_a_process_that_vanishes_fails_and_the_next_process_serves() {
    let address = free_address();
    let invoker = start(&address, "concurrency: 1").await;
    let gate = Gate::new();
    let process = Attached::start(&address);
    let vanish = async {
        exists(&gate.path("begun")).await;
        process.kill();
    };
    let (response, ()) = tokio::join!(invoker.invoke(gate.event()), vanish);
    assert_eq!(response.function_error(), "Runtime.ExitError");
    let message = response.json()["errorMessage"].to_string();
    assert!(
        message.contains("the attached process has ended"),
        "{message}"
    );
    let process = Attached::start(&address);
    let response = invoker.invoke(json!({})).await.json();
    assert_eq!(response["pid"], process.0.id());
}

#[tokio::test]
async fn a_process_beyond_concurrency_is_refused_and_the_others_go_on() {
    let address = free_address();
    let invoker = start(&address, "concurrency: 1").await;
    let first = Attached::start(&address);
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], first.0.id());
    let client = ask_by_hand(&address).await;
    assert!(client.starts_with("HTTP/1.1 403"), "{client}");
    assert!(
        client.contains("1 of at most 1 processes are attached; raise `concurrency`"),
        "{client}"
    );
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], first.0.id());
}

/// Asks for an invocation by hand, and returns the response.
async fn ask_by_hand(address: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn without_a_process_the_error_says_how_to_start_one() {
    let address = free_address();
    let invoker = start(&address, "init_timeout: 100ms").await;
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Runtime.NotAttached");
    let message = response.json()["errorMessage"].to_string();
    let expected =
        format!("no process is attached; start the function with AWS_LAMBDA_RUNTIME_API={address}");
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_and_its_process_serves_the_next() {
    let address = free_address();
    let invoker = start(&address, "concurrency: 1").await;
    let process = Attached::start(&address);
    assert_eq!(
        invoker.invoke(json!({})).await.json()["pid"],
        process.0.id()
    );
    drop(invoker);
    let address = free_address();
    let local = format!("{{ attach: \"{address}\", timeout: 300ms, concurrency: 1 }}");
    let invoker = Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await;
    let process = Attached::start(&address);
    let gate = Gate::new();
    let response = invoker.invoke(gate.event()).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    gate.open();
    let response = invoker.invoke(json!({})).await;
    assert_eq!(
        response.json()["pid"],
        process.0.id(),
        "{:?}",
        response.body
    );
}

#[tokio::test]
async fn keys_of_processes_are_refused_beside_attach() {
    let config =
        "functions: { f: { local: { attach: 127.0.0.1:9001, command: [x], env: { A: b } } } }";
    let error = sidecar_invoker::config::Config::parse("invoker.yaml", config, "/".as_ref());
    let error = error.unwrap_err().to_string();
    for key in ["command", "env"] {
        let expected = format!(
            "functions.f.local.{key}: with `attach` the invoker starts no process, so `{key}` has no effect; remove one of the two"
        );
        assert!(error.contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_process_without_a_connection_is_not_robbed_of_its_invocation() {
    const SLOW: &str = "import http.client, os, time\n\
        def ask(method, path, body=None):\n    \
            api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n    \
            api.request(method, '/2018-06-01/runtime/invocation/' + path, body, {'connection': 'close'})\n    \
            response = api.getresponse()\n    \
            response.read()\n    \
            api.close()\n    \
            return response\n\
        while True:\n    \
            id = ask('GET', 'next').getheader('lambda-runtime-aws-request-id')\n    \
            open('taken', 'w').close()\n    \
            while not os.path.exists('refused'): time.sleep(0.01)\n    \
            ask('POST', id + '/response', '\"slow\"')\n";
    let address = free_address();
    let invoker = start(&address, "concurrency: 1").await;
    let folder = tempfile::tempdir().unwrap();
    let mut slow = Command::new("python3");
    slow.args(["-c", SLOW])
        .current_dir(&folder)
        .env("AWS_LAMBDA_RUNTIME_API", &address);
    let _slow = Attached(slow.spawn().unwrap());
    let newcomer = async {
        exists(&folder.path().join("taken")).await;
        let refused = ask_by_hand(&address).await;
        std::fs::write(folder.path().join("refused"), "").unwrap();
        refused
    };
    let (response, refused) = tokio::join!(invoker.invoke(json!({})), newcomer);
    assert_eq!(response.json(), "slow");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
}

#[tokio::test]
async fn a_request_of_no_runtime_takes_no_environment() {
    let address = free_address();
    let invoker = start(&address, "concurrency: 1").await;
    for path in ["/", "/2018-06-01/ping"] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
            .await
            .unwrap();
        let mut response = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut response)
            .await
            .unwrap();
        let expected = if path == "/" {
            "HTTP/1.1 404"
        } else {
            "HTTP/1.1 200"
        };
        assert!(response.starts_with(expected), "{response}");
    }
    let process = Attached::start(&address);
    assert_eq!(
        invoker.invoke(json!({})).await.json()["pid"],
        process.0.id()
    );
}

#[tokio::test]
async fn two_functions_cannot_share_an_address() {
    let config = "functions:\n  f: { local: { attach: 127.0.0.1:9001 } }\n  g: { local: { attach: 127.0.0.1:9001 } }\n";
    let error = sidecar_invoker::config::Config::parse("invoker.yaml", config, "/".as_ref());
    let expected = "invoker.yaml:3: functions.g.local.attach: f has the address 127.0.0.1:9001, too; give each function its own";
    assert_eq!(error.unwrap_err().to_string(), expected);
    let config = "functions: { f: { local: { attach: 127.0.0.1:0 } } }";
    let error = sidecar_invoker::config::Config::parse("invoker.yaml", config, "/".as_ref());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("expected HOST:PORT")
    );
}
