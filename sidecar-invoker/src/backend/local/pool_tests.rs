use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::Inherited;
use super::super::function::Context;
use super::super::log::writer::Output;
use super::*;
use crate::config::{BackendConfig, Config, LogFormat};
use crate::invocation::response::Reply;
use crate::invocation::{FunctionAnswer, Invocation, LogType, Operation, RequestId};

pub(crate) fn function(queue: usize) -> Arc<Function> {
    configured(queue, "concurrency: 1")
}

fn configured(queue: usize, keys: &str) -> Arc<Function> {
    let command = format!(
        "[python3, {}/tests/fixtures/runtime.py]",
        env!("CARGO_MANIFEST_DIR")
    );
    let yaml = format!("functions: {{ f: {{ local: {{ command: {command}, {keys} }} }} }}");
    let config = Config::parse("invoker.yaml", &yaml, Path::new("/")).unwrap();
    let (name, config) = config.functions.into_iter().next().unwrap();
    let BackendConfig::Local(local) = config.backend else {
        panic!("not local");
    };
    let context = Context {
        clock: SystemTime::now,
        inherited: Arc::new(Inherited::from(std::env::vars_os())),
        output: Output::to(std::io::sink(), LogFormat::Text, SystemTime::now).0,
        guard: None,
        cgroups: None,
        census: Arc::default(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    Function::new(name, local, queue, context)
}

pub(crate) fn invocation(event: &serde_json::Value) -> Invocation {
    Invocation {
        request_id: RequestId::random(),
        operation: Operation::Invoke,
        log_type: LogType::None,
        target: "f".parse().unwrap(),
        payload: Bytes::from(event.to_string()),
        trace_id: HeaderValue::from_static("Root=1"),
        client_context: None,
        tenant_id: None,
    }
}

#[tokio::test]
async fn callers_are_served_in_their_order_and_the_one_too_many_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let function = function(2);
    let call = |line: &str| {
        let event = json!({ "do": "log", "file": file, "line": line });
        let function = Arc::clone(&function);
        async move { function.invoke(invocation(&event)).await }
    };
    // One has the environment that is started for it, two the queue's places.
    let (a, b, c, d) = tokio::join!(call("a"), call("b"), call("c"), call("d"));
    assert!([a, b, c].iter().all(|reply| matches!(
        reply,
        Ok(Reply::Whole {
            answer: FunctionAnswer::Success(_),
            ..
        })
    )));
    assert_eq!(d.unwrap_err(), ServiceError::TooManyRequests);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "a\nb\nc\n");
    assert_eq!(lock(&function.pool).environments.len(), 1);
}

#[tokio::test]
async fn the_environment_used_last_is_used_first() {
    let function = function(0);
    let first = Environment::new(&function, 0);
    let second = Environment::new(&function, 0);
    function.ready(Arc::clone(&first));
    function.ready(Arc::clone(&second));
    assert!(Arc::ptr_eq(
        &function.environment().await.unwrap().unwrap(),
        &second
    ));
    assert!(Arc::ptr_eq(
        &function.environment().await.unwrap().unwrap(),
        &first
    ));
}

#[tokio::test]
async fn files_that_go_on_changing_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.py");
    std::fs::write(&file, "").unwrap();
    let function = configured(0, &format!("watch: ['{}']", file.display()));
    function.begin();
    let changes = async {
        for change in 1.. {
            std::fs::write(&file, "x".repeat(change)).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    };
    let end = async {
        // By then the change has been seen.
        sleep(Duration::from_millis(800)).await;
        function.context.stop.cancel();
        function.context.tasks.close();
        function.context.tasks.wait().await;
    };
    tokio::select! {
        () = changes => {}
        () = end => {}
        () = sleep(Duration::from_secs(5)) => panic!("the files are still looked at"),
    }
}
