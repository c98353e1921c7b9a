//! `sidecar-invoker up`: a project is served, changes while it is served, and ends.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::generated::{is_running, signal};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up, not_envoy, python_function};

/// Returns a template with a Python function for each name, at the path of that name.
fn template(names: &[&str]) -> String {
    let function = |name: &&str| {
        format!(
            "  {name}:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      \
             Handler: app.handler\n      CodeUri: code\n      Timeout: 10\n      Events:\n        Get:\n          \
             Type: HttpApi\n          Properties: {{ Path: /{name}, Method: GET }}\n"
        )
    };
    let functions: String = names.iter().map(function).collect();
    format!("Transform: AWS::Serverless-2016-10-31\nResources:\n{functions}")
}

#[test]
fn a_folder_with_a_function_is_served_and_follows_its_code() {
    let folder = ProjectFolder::new(&[("orders/app.py", &python_function("one"))]);
    let mut command = folder.command();
    command.arg("orders");
    let up = Up::start(&command).expect("a served project");
    assert_eq!(up.request("GET", "/a").send().text(), "one /a");
    let by_name = up.request("GET", "/b").host("orders.localhost").send();
    assert_eq!(by_name.text(), "one /b");
    // Of another length: Python takes its compiled code for current if length and second are the same.
    folder.write("orders/app.py", &python_function("second"));
    eventually("the new code", || {
        let response = up.request("GET", "/").send();
        assert_eq!(response.status, 200);
        (response.text() == "second /").then_some(())
    });
    signal(up.id(), "INT");
    let (status, log) = up.wait();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_template_gains_and_loses_functions_without_a_lost_request() {
    let folder = ProjectFolder::new(&[
        ("template.yaml", &template(&["First", "Second"])),
        ("code/app.py", &python_function("from")),
    ]);
    let up = folder.up();
    assert_eq!(up.request("GET", "/Second").send().text(), "from /Second");
    assert_eq!(up.request("GET", "/Third").send().status, 404);
    let stop = Arc::new(AtomicBool::new(false));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (stop, failures, address) = (Arc::clone(&stop), Arc::clone(&failures), up.address);
            thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let response = Request::new(address, "GET", "/First").send();
                    if response.status != 200 {
                        let failure = format!("{} {}", response.status, response.text());
                        failures.lock().expect("no panic").push(failure);
                    }
                    count += 1;
                    thread::sleep(Duration::from_millis(5));
                }
                count
            })
        })
        .collect();
    for names in [
        ["First", "Third"].as_slice(),
        &["First"],
        &["First", "Second", "Third"],
    ] {
        folder.write("template.yaml", &template(names));
        for name in ["Second", "Third"] {
            let status = if names.contains(&name) { 200 } else { 404 };
            eventually("the new routes", || {
                let response = up.request("GET", &format!("/{name}")).send();
                (response.status == status).then_some(())
            });
        }
    }
    stop.store(true, Ordering::Relaxed);
    let counts = clients.into_iter().map(thread::JoinHandle::join);
    let count: usize = counts.map(|count| count.expect("no panic")).sum();
    assert!(count > 100, "{count}");
    assert_eq!(*failures.lock().expect("no panic"), Vec::<String>::new());
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_says_so() {
    let folder = ProjectFolder::new(&[
        ("template.yaml", &template(&["First"])),
        ("code/app.py", &python_function("from")),
    ]);
    let up = folder.up();
    // Saved half-way.
    folder.write("template.yaml", "Resources:\n  First: { Type: [");
    eventually("the mistake", || {
        let log = up.log();
        (log.contains("not valid YAML") && log.contains("was not taken over")).then_some(())
    });
    assert_eq!(up.request("GET", "/First").send().status, 200);
    folder.write("template.yaml", &template(&["First", "Second"]));
    eventually("the corrected file", || {
        (up.request("GET", "/Second").send().status == 200).then_some(())
    });
    eventually("the table of the new routes", || {
        let log = up.log();
        let (_, table) = log.split_once("is served with other routes")?;
        table.contains("/Second\n").then_some(())
    });
}

#[test]
fn https_has_a_certificate_for_this_machine() {
    let folder = ProjectFolder::new(&[("app.py", &python_function("secure"))]);
    let data = folder.path().join("data");
    let mut command = folder.command();
    command.env("XDG_DATA_HOME", &data).arg("--tls");
    let up = Up::start(&command).expect("a served project");
    // The client of Python's standard library, which checks the certificate and the name in it.
    let client = format!(
        "import ssl, urllib.request as r\n\
         context = ssl.create_default_context(cafile={:?})\n\
         print(r.urlopen('https://localhost:{}/x', context=context).read().decode())",
        data.join("lambda-mesh/tls/certificate.pem"),
        up.address.port()
    );
    let output = std::process::Command::new("python3")
        .args(["-c", &client])
        .output();
    let output = output.expect("Python");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        text,
        "secure /x\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_program_s_own_output_and_file_restart_no_function() {
    let config = "functions: { f: { local: { command: [python3, -m, awslambdaric, app.handler] } } }\n\
                  routes: [{ function: f }]\n";
    let folder = ProjectFolder::new(&[
        ("invoker.yaml", config),
        ("app.py", &python_function("same")),
    ]);
    let output = std::fs::File::create(folder.path().join("up.log")).expect("a file");
    let mut command = folder.command();
    command
        .stdout(output.try_clone().expect("a file"))
        .stderr(output)
        .stdin(Stdio::null());
    let mut up = command.spawn().expect("the program starts");
    let log = || std::fs::read_to_string(folder.path().join("up.log")).unwrap_or_default();
    let port: u16 = eventually("a served project", || {
        let log = log();
        let (_, rest) = log.split_once("http://localhost:")?;
        log.contains("try it").then_some(())?;
        rest.split('/').next()?.parse().ok()
    });
    for _ in 0..3 {
        let response = Request::new(([127, 0, 0, 1], port).into(), "GET", "/").send();
        assert_eq!(response.text(), "same /");
        thread::sleep(Duration::from_millis(400));
    }
    folder.write(
        "invoker.yaml",
        &format!("{config}- {{ path: /b, function: f }}\n")
            .replace("[{ function: f }]", "\n- { path: /a, function: f }"),
    );
    eventually("the new routes", || {
        log().contains("was read again").then_some(())
    });
    let log = log();
    assert!(!log.contains("restarting"), "{log}");
    signal(up.id(), "TERM");
    assert!(up.wait().expect("an end").success());
}

#[test]
fn a_mistake_in_a_template_that_is_new_is_seen_to_be_corrected() {
    let folder = ProjectFolder::new(&[
        (
            "invoker.yaml",
            "functions: { f: { local: { command: [x] } } }\nroutes: [{ function: f }]\n",
        ),
        ("code/app.py", &python_function("from")),
    ]);
    let up = folder.up();
    folder.write("other.yaml", "Resources: [");
    folder.write("invoker.yaml", "import: other.yaml\n");
    eventually("the mistake", || {
        up.log().contains("was not taken over").then_some(())
    });
    folder.write("other.yaml", &template(&["First"]));
    eventually("the corrected template", || {
        (up.request("GET", "/First").send().status == 200).then_some(())
    });
}

#[test]
fn a_secret_of_the_filter_in_a_file_reaches_envoy_and_nobody_else() {
    let config = "callers: { filters: [{ secrets: [\"file:secret\"] }] }\n\
                  functions: { f: { local: { command: [python3, -m, awslambdaric, app.handler] } } }\n\
                  routes: [{ function: f }]\n";
    let secret = "0123456789abcdef0123456789abcdef\n";
    let folder = ProjectFolder::new(&[
        ("invoker.yaml", config),
        ("secret", secret),
        ("app.py", &python_function("proven")),
        ("scratch/empty", ""),
    ]);
    let scratch = folder.path().join("scratch");
    let mut command = folder.command();
    command.env("TMPDIR", &scratch);
    let up = Up::start(&command).expect("a served project");
    assert_eq!(up.request("GET", "/").send().text(), "proven /");
    let entries = std::fs::read_dir(&scratch).expect("a folder").flatten();
    let mut own = entries.filter(|entry| entry.path().is_dir());
    let mode = own
        .next()
        .expect("a folder")
        .metadata()
        .expect("metadata")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    // The invoker keeps its callers, so Envoy keeps its secret.
    folder.write(
        "invoker.yaml",
        &config.replace(
            "callers: { filters: [{ secrets: [\"file:secret\"] }] }\n",
            "",
        ),
    );
    eventually("the new file", || {
        up.log().contains("`callers` has changed").then_some(())
    });
    assert_eq!(up.request("GET", "/").send().status, 200);
}

/// The files of a project, further arguments, the exit status and a part of the message.
type Problem<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);

#[test]
fn each_problem_before_the_start_is_one_sentence_with_the_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let function = python_function("x");
    let broken = "Resources:\n  A:\n    Type: [\n";
    let no_routes = "functions: { f: { local: { command: [x], colour: red } } }";
    let cases: [Problem<'_>; 8] = [
        (
            &[],
            &[],
            2,
            "there is no invoker.yaml, template.yaml, cdk.out or lrp.yaml",
        ),
        (&[], &["no.yaml"], 2, "no.yaml: there is no such file"),
        (
            &[("app.py", &function), ("index.mjs", "")],
            &[],
            2,
            "there are app.py and index.mjs; name one of them",
        ),
        (
            &[("invoker.yaml", no_routes), ("invoker.yml", "")],
            &[],
            2,
            "there are invoker.yaml and invoker.yml",
        ),
        (
            &[("invoker.yaml", no_routes)],
            &[],
            2,
            "invoker.yaml:1: functions.f.local.colour: unknown key",
        ),
        (
            &[("template.yaml", broken)],
            &[],
            2,
            "template.yaml: template.yaml:4: not valid YAML",
        ),
        (
            &[("app.py", "x = 1\n")],
            &[],
            2,
            "app.py: has neither `lambda_handler` nor `handler`",
        ),
        (
            &[("app.py", &function)],
            &["--port", &port],
            1,
            "choose another port with --port",
        ),
    ];
    for (files, arguments, status, expected) in cases {
        let folder = ProjectFolder::new(files);
        let mut command = folder.command();
        // A later option replaces an earlier one.
        command.args(arguments);
        let output = command.output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let folder = ProjectFolder::new(&[("app.py", &function)]);
    folder.write(
        "old-envoy",
        "#!/bin/sh\necho 'envoy  version: 1/1.30.4/Clean/RELEASE/BoringSSL'\n",
    );
    let old = folder.path().join("old-envoy");
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o755)).expect("an own file");
    for (envoy, expected) in [
        (not_envoy(), "does not say its version"),
        (
            old,
            "is Envoy 1.30, which is too old; install Envoy 1.36 or newer",
        ),
    ] {
        let mut command = folder.command();
        command.arg("--envoy").arg(envoy);
        let output = command.output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn no_process_outlives_up() {
    let folder = ProjectFolder::new(&[("app.py", &python_function("x"))]);
    let up = folder.up();
    assert_eq!(up.request("GET", "/").send().status, 200);
    let envoy = lambda_mesh_tests::generated::child(up.id(), "envoy").expect("an Envoy");
    signal(up.id(), "KILL");
    eventually("Envoy has ended", || (!is_running(envoy)).then_some(()));
    assert_eq!(up.wait().0, 128 + 9);
}

/// A runtime in JavaScript with a handler in line 2.
const NODE: &str = "const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
const handler = (event) => ({ statusCode: 200, body: 'debugged ' + event.rawPath });
for (;;) {
  const next = await fetch(api + 'next');
  const id = next.headers.get('lambda-runtime-aws-request-id');
  const response = handler(await next.json());
  await fetch(api + id + '/response', { method: 'POST', body: JSON.stringify(response) });
}
";

/// Starts a function under a debugger by the shell's line that `up --debug` prints, in which `debugger` takes the
/// place of `program`. A request waits at the breakpoint until the debugger, which shows `stopped`, goes on.
fn breakpoint_is_hit(folder: &ProjectFolder, program: &str, debugger: &str, stopped: &str) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.expect("a port").port().to_string();
    let mut command = folder.command();
    command.args(["--debug", "f", "--debug-port", &port]);
    let path = command.get_envs().find(|(name, _)| *name == "PATH");
    let path = path
        .and_then(|(_, value)| value)
        .expect("a PATH")
        .to_owned();
    let up = Up::start(&command).expect("a served project");
    let line = eventually("the line for a shell", || {
        let log = up.log();
        let (_, rest) = log.split_once("A shell:\n\n")?;
        let (line, _) = rest.split_once('\n')?;
        Some(line.to_owned())
    });
    assert!(
        line.contains(&format!("AWS_LAMBDA_RUNTIME_API=127.0.0.1:{port}")),
        "{line}"
    );
    let mut shell = std::process::Command::new("sh")
        .args(["-c", &line.replace(program, debugger)])
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut input = shell.stdin.take().expect("an input");
    let output = shell.stdout.take().expect("an output");
    let shown = Arc::new(Mutex::new(String::new()));
    let reader = thread::spawn({
        let shown = Arc::clone(&shown);
        move || {
            let mut output = output;
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                shown.lock().expect("no panic").push_str(&text);
            }
        }
    });
    let shows = |part: &str| {
        let shown = shown.lock().expect("no panic");
        shown.contains(part).then_some(())
    };
    if program == "node" {
        // Its debugger reads commands once it has stopped at the first line.
        eventually("the first line", || shows("Break on start"));
        input
            .write_all(b"setBreakpoint(2)\ncont\n")
            .expect("a debugger");
    }
    let address = up.address;
    let caller = thread::spawn(move || Request::new(address, "GET", "/x").send());
    eventually("the breakpoint", || shows(stopped));
    assert!(!caller.is_finished());
    input.write_all(b"c\n").expect("a debugger");
    let response = caller.join().expect("no panic");
    assert_eq!((response.status, response.text()), (200, "debugged /x"));
    let _ = shell.kill();
    let _ = shell.wait();
    signal(up.id(), "TERM");
    up.wait();
    drop(input);
    reader.join().expect("no panic");
}

#[test]
fn a_breakpoint_is_hit_in_python() {
    let config = "functions: { f: { local: { command: [python3, -m, awslambdaric, app.handler] } } }\n\
                  routes: [{ function: f }]\n";
    let folder = ProjectFolder::new(&[
        ("invoker.yaml", config),
        ("app.py", &python_function("debugged")),
    ]);
    let debugger = "exec python3 -m pdb -c 'b app.py:2' -c c";
    breakpoint_is_hit(&folder, "python3", debugger, "app.py(2)handler()");
}

#[test]
fn a_breakpoint_is_hit_in_node() {
    if std::process::Command::new("node")
        .arg("--version")
        .output()
        .is_err()
    {
        xtask::skip("a_breakpoint_is_hit_in_node", "node is missing");
        return;
    }
    let config =
        "functions: { f: { local: { command: [node, app.mjs] } } }\nroutes: [{ function: f }]\n";
    let folder = ProjectFolder::new(&[("invoker.yaml", config), ("app.mjs", NODE)]);
    breakpoint_is_hit(
        &folder,
        "node",
        "exec node inspect --port=0",
        "break in app.mjs:2",
    );
}
