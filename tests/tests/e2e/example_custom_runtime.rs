//! `examples/custom-runtime`: runtimes in shell and in PHP, and each step of the life of an environment.

use std::process::Command;

use lambda_mesh_tests::eventually;
use lambda_mesh_tests::generated::{CommandOutput, sidecar_invoker, signal};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use serde_json::json;

/// The function of a runtime, and the path in front of its routes.
struct Runtime {
    function: &'static str,
    prefix: &'static str,
}

const SHELL: Runtime = Runtime {
    function: "capitals",
    prefix: "",
};
const PHP: Runtime = Runtime {
    function: "capitals-php",
    prefix: "/php",
};

/// Serves the example with the runtime of `program`, or skips the test `name`.
fn serve(name: &str, program: &str) -> Option<(ProjectFolder, Up)> {
    if Command::new(program).arg("--version").output().is_err() {
        xtask::skip(name, &format!("{program} is missing"));
        return None;
    }
    let folder = ProjectFolder::with_examples();
    let mut command = folder.command();
    command.arg("examples/custom-runtime");
    let up = Up::start(&command).expect("a served project");
    Some((folder, up))
}

/// Returns the parts of the log's lines of `function` behind its name and the name of the environment.
fn lines(up: &Up, function: &str) -> Vec<(String, String)> {
    let log = up.log();
    let start = format!("{function}/");
    let lines = log.lines().filter_map(|line| line.strip_prefix(&start));
    let lines = lines.filter_map(|line| line.split_once(" | "));
    lines
        .map(|(environment, text)| (environment.to_owned(), text.to_owned()))
        .collect()
}

/// Waits for a line of `function` that begins with `text`, and returns its environment.
fn environment_of(up: &Up, function: &str, text: &str) -> String {
    eventually(&format!("{function}: {text}"), || {
        let mut lines = lines(up, function).into_iter();
        lines
            .find(|(_, line)| line.starts_with(text))
            .map(|(environment, _)| environment)
    })
}

fn shows_each_step(up: &Up, runtime: &Runtime) {
    let function = runtime.function;
    let get = |path: &str| {
        up.request("GET", &format!("{}{path}", runtime.prefix))
            .send()
    };

    let first = get("/capital");
    assert_eq!(first.status, 200, "{}", up.log());
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.json()["capital"].is_string(), "{}", first.text());
    let environment = environment_of(up, function, "cold start: ");

    // The same environment serves again.
    assert_eq!(get("/capital").status, 200);
    assert_eq!(
        environment_of(up, function, "warm start: invocation 2"),
        environment
    );
    let capitals: std::collections::BTreeSet<_> = (0..40)
        .map(|_| get("/capital").json()["capital"].to_string())
        .collect();
    assert!(capitals.len() > 1, "{capitals:?}");
    assert_eq!(get("/nowhere").status, 404);

    // An error of an invocation leaves the environment as it is.
    assert_eq!(get("/error").status, 500);
    assert_eq!(
        environment_of(up, function, "the capital is lost"),
        environment
    );
    let before = lines(up, function);
    assert_eq!(get("/capital").status, 200);
    let after = eventually("a line of the next invocation", || {
        let after = lines(up, function);
        (after.len() > before.len()).then_some(after)
    });
    assert!(
        after.iter().all(|(name, _)| *name == environment),
        "{after:?}"
    );

    // After a timeout the environment ends, and the next call has another one.
    assert_eq!(get("/slow").status, 500);
    let timed_out = eventually("the timeout", || {
        let mut lines = lines(up, function).into_iter();
        lines.find(|(_, line)| line.ends_with("Task timed out after 2.00 seconds"))
    });
    assert_eq!(timed_out.0, environment);
    assert_eq!(get("/capital").status, 200);
    let newest = eventually("another environment", || {
        let mut lines = lines(up, function).into_iter();
        lines
            .find(|(name, line)| *name != environment && line.starts_with("cold start: "))
            .map(|(name, _)| name)
    });

    // An environment without work ends.
    eventually("the end of an idle environment", || {
        let mut lines = lines(up, function).into_iter();
        lines.find(|(name, line)| *name == newest && line == "end: after 1 invocations")
    });
}

fn takes_events(up: &Up, runtime: &Runtime) {
    let function = runtime.function;
    let address = {
        let log = up.log();
        let url = log
            .lines()
            .find_map(|line| line.split_once("(--endpoint-url): "));
        url.expect("the address of the invoker").1.to_owned()
    };
    let invoke = |arguments: &[&str]| -> CommandOutput {
        let all = [&["invoke", function, "--url", &address], arguments].concat();
        let output = sidecar_invoker(&all);
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        output
    };
    // By sample.
    let uploaded = invoke(&[
        "--sample",
        "s3",
        "--set",
        "bucket=photos",
        "--set",
        "key=cat.png",
    ]);
    assert_eq!(uploaded.stdout.trim(), r#"{"files":1}"#);
    environment_of(up, function, "uploaded: s3://photos/cat.png");
    // Directly, with an event of one's own.
    let mail = json!({ "Records": [{
        "eventSource": "aws:ses",
        "ses": { "mail": { "source": "direct@example.com" } },
    }] });
    let received = invoke(&["--event", &mail.to_string()]);
    assert_eq!(received.stdout.trim(), r#"{"disposition":"CONTINUE"}"#);
    environment_of(up, function, "received: a mail from direct@example.com");
    // Asynchronously: nobody waits for the response.
    let queued = invoke(&[
        "--sample",
        "ses",
        "--set",
        "from=later@example.com",
        "--async",
    ]);
    assert!(
        queued.stderr.contains("invocation status 202"),
        "{}",
        queued.stderr
    );
    environment_of(up, function, "received: a mail from later@example.com");
}

#[test]
fn a_runtime_in_shell_shows_each_step_of_an_environment() {
    let Some((_folder, up)) = serve("the example of a custom runtime in shell", "curl") else {
        return;
    };
    shows_each_step(&up, &SHELL);
    takes_events(&up, &SHELL);

    // The caller gets the error of the start, and so does the next one.
    for _ in 0..2 {
        assert_eq!(up.request("GET", "/broken").send().status, 500);
    }
    let failed = lines(&up, "broken");
    let reports = failed.iter().filter(|(_, line)| {
        line.starts_with("INIT_REPORT") && line.ends_with("Error Type: Runtime.NoSuchHandler")
    });
    assert_eq!(reports.count(), 2, "{failed:?}");

    // At the end of the program, the environment that is left ends too.
    assert_eq!(up.request("GET", "/capital").send().status, 200);
    let last = lines(&up, "capitals").pop().expect("a line").0;
    signal(up.id(), "INT");
    let (status, log) = up.wait();
    assert_eq!(status, 0, "{log}");
    assert!(
        log.contains(&format!("capitals/{last} | end: after ")),
        "{log}"
    );
}

#[test]
fn a_runtime_in_php_shows_each_step_of_an_environment() {
    let Some((_folder, up)) = serve("the example of a custom runtime in PHP", "php") else {
        return;
    };
    shows_each_step(&up, &PHP);
    takes_events(&up, &PHP);
}
