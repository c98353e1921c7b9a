//! The program: its configuration errors, its ports, its shutdown.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::running::{FREE, Running, serve};
use crate::support::{Gate, eventually, exists, fixture_function, is_running, make_executable};

/// Returns the configuration of a function whose environments share `/tmp` and process numbers with
/// the tests.
fn sharing_function(keys: &str) -> String {
    fixture_function(&format!("isolation: none, {keys}"))
}

/// Runs the program to its end and returns its exit code and standard error.
fn run_to_end(config: &Path) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = serve(config, FREE).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn an_unreadable_configuration_is_reported_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoker.yaml");
    let shown = path.display().to_string();
    assert_eq!(
        run_to_end(&path),
        (
            Some(2),
            format!("{shown}: there is no such file; name one with --config\n")
        )
    );
    let (code, text) = run_to_end(folder.path());
    assert_eq!(code, Some(2));
    assert!(
        text.contains("this is a directory; name the file in it with --config"),
        "{text}"
    );
    std::fs::write(&path, b"functions:\n  f\xff: 1\n").unwrap();
    assert_eq!(
        run_to_end(&path),
        (
            Some(2),
            format!("{shown}:2: not UTF-8; save the file as UTF-8\n")
        )
    );
    std::fs::write(&path, "functions: {\n").unwrap();
    let (code, text) = run_to_end(&path);
    assert_eq!(code, Some(2));
    assert!(
        text.starts_with(&format!("{shown}:")) && text.contains("not valid YAML"),
        "{text}"
    );
}

#[test]
fn all_mistakes_of_a_file_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoker.yaml");
    std::fs::write(
        &path,
        "functions:\n  f:\n    local: { comand: [x], timeout: abc }\n",
    )
    .unwrap();
    let (code, text) = run_to_end(&path);
    assert_eq!(code, Some(2));
    let bootstrap = format!(
        "3: functions.f.local: there is no `command`, and no file `bootstrap` in {}; add one of them",
        folder.path().display()
    );
    let expected = [
        &bootstrap,
        "3: functions.f.local.timeout: expected a duration from 1ms to 15m such as 30s, found \"abc\"",
        "3: functions.f.local.comand: unknown key; did you mean `command`?",
    ];
    let expected = expected
        .map(|line| format!("{}:{line}\n", path.display()))
        .concat();
    assert_eq!(text, expected);
}

#[test]
fn a_taken_port_is_named_with_the_option_that_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoker.yaml");
    std::fs::write(&path, fixture_function("")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["listen", "admin"] {
        let option = format!("--{key}");
        let Output { status, stderr, .. } = serve(&path, (key, &address)).output().unwrap();
        assert_eq!(status.code(), Some(1));
        let expected = format!(
            "{address} ({key}) is already in use; choose another with {option} or stop the process that holds it\n"
        );
        assert_eq!(String::from_utf8(stderr).unwrap(), expected);
    }
}

#[tokio::test]
async fn sigterm_lets_the_running_invocation_finish_and_leaves_no_process() {
    // To all processes of the program, as by `pkill`.
    let terminate = |running: &Running| {
        for guard in running.children() {
            let sent = Command::new("kill").args(["-TERM", &guard]).status();
            assert!(sent.unwrap().success());
        }
        running.signal("-TERM");
    };
    the_running_invocation_finishes(terminate, |serve| serve).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_terminal_that_closes_lets_the_running_invocation_finish_and_leaves_no_process() {
    // The parent of the program opens a terminal for it, and closes the terminal at SIGUSR1.
    const TERMINAL: &str = "import os, pty, signal, sys\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\n\
        errors = os.dup(2)\n\
        program, terminal = pty.fork()\n\
        if program == 0:\n    \
            signal.signal(signal.SIGHUP, signal.SIG_DFL)\n    \
            os.dup2(errors, 2)\n    \
            os.execv(sys.argv[1], sys.argv[1:])\n\
        signal.sigwait({signal.SIGUSR1})\n\
        os.close(terminal)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))";
    let in_terminal = |serve: Command| {
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL]).arg(serve.get_program());
        command.args(serve.get_args());
        command
    };
    the_running_invocation_finishes(|running| running.signal("-USR1"), in_terminal).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_invoker_under_nohup_outlives_its_terminal() {
    let running =
        Running::start_wrapped(&fixture_function(""), |serve| after("trap '' HUP", &serve));
    running.signal("-HUP");
    assert_eq!(running.invoke(json!({})).await.status, 200);
    running.terminate();
}

async fn the_running_invocation_finishes(
    end: impl FnOnce(&Running),
    wrap: impl FnOnce(Command) -> Command,
) {
    let gate = Gate::new();
    let mut running = Running::start_wrapped(&sharing_function(""), wrap);
    let pid = running.invoke(json!({})).await.json()["pid"].to_string();
    let rest = async {
        exists(&gate.path("begun")).await;
        end(&running);
        // The program accepts no connections, and has not ended.
        let refused = async || {
            TcpStream::connect(&running.address)
                .await
                .is_err()
                .then_some(())
        };
        eventually("a refused connection", refused).await;
        gate.open();
    };
    let (response, ()) = tokio::join!(running.invoke(gate.event()), rest);
    assert_eq!(response.status, 200);
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    assert!(!is_running(&pid));
    let mut log = String::new();
    running.stderr.read_to_string(&mut log).unwrap();
    assert!(!log.contains("still holds"), "{log}");
    assert!(!log.contains("the guard has ended"), "{log}");
}

#[tokio::test]
async fn no_function_outlives_an_invoker_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let mut running = Running::start(&sharing_function(""));
    tokio::select! {
        _ = running.invoke(json!({ "do": "child", "file": file })) => panic!("it returned although it waits"),
        () = exists(&file) => {}
    }
    running.signal("-KILL");
    running.child.wait().unwrap();
    let pids = std::fs::read_to_string(&file).unwrap();
    assert_eq!(pids.split(' ').count(), 2);
    for pid in pids.split(' ') {
        eventually("the end of the group", async || {
            (!is_running(pid)).then_some(())
        })
        .await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stray_process_does_not_outlive_an_invoker_that_is_killed_or_terminated() {
    for signal in ["-KILL", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut running = Running::start(&sharing_function(""));
        let stray = json!({ "do": "stray", "file": file, "forgets": false });
        assert_eq!(running.invoke(stray).await.status, 200);
        let pid = std::fs::read_to_string(&file).unwrap();
        assert!(is_running(pid.trim()));
        running.signal(signal);
        running.child.wait().unwrap();
        let has_ended = async || (!is_running(pid.trim())).then_some(());
        eventually("the end of the stray process", has_ended).await;
        let mut log = String::new();
        running.stderr.read_to_string(&mut log).unwrap();
        assert!(!log.contains("still holds"), "{log}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_guard_finds_processes_by_their_environment() {
    let mut guard = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"))
        .arg("guard")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let sleep = |value: &str| {
        let mut command = Command::new("setsid");
        command
            .args(["sleep", "600"])
            .env("LAMBDA_MESH_TEST", value);
        command.spawn().unwrap()
    };
    let own = format!("own-{}", guard.id());
    let (mut registered, mut removed, mut other) = (sleep(&own), sleep("removed"), sleep("other"));
    let lines = format!(
        "+LAMBDA_MESH_TEST=removed\n+LAMBDA_MESH_TEST={own}\nwhat?\n-LAMBDA_MESH_TEST=removed\n"
    );
    std::io::Write::write_all(&mut guard.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    assert!(guard.wait().unwrap().success());
    assert_eq!(registered.wait().unwrap().code(), None, "killed");
    for process in [&mut removed, &mut other] {
        assert!(
            process.try_wait().unwrap().is_none(),
            "it belongs to nobody"
        );
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// The session belongs to another namespace after `docker exec`, and without a terminal.
#[cfg(target_os = "linux")]
#[test]
fn the_guard_works_if_its_session_belongs_to_another_pid_namespace() {
    let namespace = || {
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
        ]);
        unshare
    };
    if !namespace()
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        xtask::test::skip(
            "the guard in a namespace of its own",
            "`unshare` is not permitted on this machine",
        );
        return;
    }
    let script = "LAMBDA_MESH_TEST=own sleep 600 &\n\
        echo +LAMBDA_MESH_TEST=own | \"$0\" guard || exit 1\n\
        wait $!; test $? = 137";
    let mut shell = namespace();
    shell.args(["sh", "-c", script, env!("CARGO_BIN_EXE_sidecar-invoker")]);
    assert!(shell.status().unwrap().success());
}

/// In a container the invoker may be the first process, which adopts all orphans.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn adopted_orphans_do_not_stay_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let (pids, stray) = (folder.path().join("pids"), folder.path().join("pid"));
    let running = Running::start_wrapped(&sharing_function("concurrency: 1"), |serve| {
        let mut adopting = Command::new("python3");
        // PR_SET_CHILD_SUBREAPER
        let script = "import ctypes, os, sys\nctypes.CDLL(None).prctl(36, 1)\nos.execv(sys.argv[1], sys.argv[1:])";
        adopting
            .args(["-c", script])
            .arg(serve.get_program())
            .args(serve.get_args());
        adopting
    });
    let event = json!({ "do": "stray", "file": stray, "forgets": false });
    assert_eq!(running.invoke(event).await.status, 200);
    tokio::select! {
        _ = running.invoke(json!({ "do": "child", "file": pids })) => panic!("it returned although it waits"),
        () = exists(&pids) => {}
    }
    let pids = std::fs::read_to_string(&pids).unwrap();
    let (function, child) = pids.split_once(' ').unwrap();
    let killed = Command::new("kill")
        .args(["-9", function])
        .status()
        .unwrap();
    assert!(killed.success());
    let stray = std::fs::read_to_string(&stray).unwrap();
    for pid in [child, stray.trim()] {
        let has_ended = async || (!Path::new("/proc").join(pid).exists()).then_some(());
        eventually("the end of an orphan and of its entry in /proc", has_ended).await;
    }
}

#[tokio::test]
async fn each_line_of_output_has_the_name_of_the_function() {
    let mut running = Running::start(&fixture_function(""));
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    assert_eq!(
        running
            .invoke(json!({ "do": "print", "lines": 2 }))
            .await
            .status,
        200
    );
    running.signal("-TERM");
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| {
            let (source, line) = line.split_once(" | ").unwrap();
            let (name, environment) = source.split_once('/').unwrap();
            assert_eq!((name, environment.len()), ("f", 8));
            line
        })
        .collect();
    // Lambda's own lines are recognised by their words.
    let (own, mut lines): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.contains("RequestId: "));
    let words: Vec<_> = own.iter().map(|line| line.split(' ').next()).collect();
    assert_eq!(words, [Some("START"), Some("END"), Some("REPORT")]);
    lines.sort_unstable();
    let long = "x".repeat(1_000);
    assert_eq!(lines, ["to stderr", &long, &long]);
}

#[tokio::test]
async fn unread_output_does_not_slow_a_function_down() {
    // Its standard output is a pipe that this test does not read.
    let running = Running::start(&fixture_function("concurrency: 1"));
    let flood = json!({ "do": "print", "lines": 2_000 });
    assert_eq!(running.invoke(flood).await.status, 200);
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(running.invoke(json!({})).await.status, 200);
    }
    // If each line had to wait, for one second, the calls would take 40 s.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_extension_that_does_not_register_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let extension = folder.path().join("extensions/never");
    std::fs::create_dir(folder.path().join("extensions")).unwrap();
    std::fs::write(&extension, "#!/bin/sh\nexec sleep 600\n").unwrap();
    make_executable(&extension);
    let keys = format!("init_timeout: 1s, directory: {}", folder.path().display());
    let running = Running::start(&fixture_function(&keys));
    let response = running.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    let log = running.terminate();
    let message = "; the extension `never` did not register within `init_timeout` ";
    assert!(
        log.contains(message) && !log.contains("Lambda runtime"),
        "{log}"
    );
}

#[test]
fn on_failure_must_be_a_regular_file() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    let missing = folder.path().join("missing/file");
    for path in [&fifo, &missing, folder.path()] {
        let file = folder.path().join("invoker.yaml");
        std::fs::write(
            &file,
            fixture_function("").replacen("queue: 1,", &on_failure(path), 1),
        )
        .unwrap();
        let (code, text) = run_to_end(&file);
        assert_eq!(code, Some(2), "{text}");
        let problem = format!(
            "1: functions.f.event.on_failure: {} cannot be written: it has to be a regular file",
            path.display()
        );
        assert!(text.contains(&problem), "{text}");
    }
}

#[tokio::test]
async fn an_on_failure_file_that_blocks_does_not_delay_the_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let config = sharing_function("").replacen("queue: 1,", &on_failure(&fifo), 1);
    let running = Running::start(&config);
    // The configuration was read before the FIFO existed.
    make_fifo(&fifo);
    let attempts = folder.path().join("attempts");
    let failing = json!({ "do": "raise", "file": attempts });
    assert_eq!(running.send(failing).await.status, 202);
    exists(&attempts).await;
    assert_eq!(running.invoke(json!({})).await.status, 200);
    let log = running.terminate();
    let id = std::fs::read_to_string(&attempts).unwrap();
    let lost = |line: &str| line.contains("ERROR an event is lost: ") && line.contains(id.trim());
    assert!(log.lines().any(lost), "{log}");
    assert!(
        log.contains("an event was given up after 1 attempt ("),
        "{log}"
    );
}

fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

/// Returns the settings of a function whose failed events are written to this file.
fn on_failure(file: &Path) -> String {
    let file = file.display();
    format!("event: {{ maximum_retry_attempts: 0, on_failure: {file} }},")
}

#[tokio::test]
async fn callers_of_unknown_functions_do_not_flood_the_log() {
    let names =
        (0..1_000).map(|index| format!("orders-{index}: {{ rie: 'http://h:{}' }}", index + 1));
    let names = names.collect::<Vec<_>>().join(", ");
    let running = Running::start(&format!("functions: {{ {names} }}"));
    for _ in 0..100 {
        assert_eq!(running.invoke(json!({})).await.status, 404);
    }
    let log = running.terminate();
    let lines = log.matches("no such function").count();
    assert!((1..100).contains(&lines), "{lines}");
    assert!(log.len() < 300 * (lines + 3), "{log}");
}

#[tokio::test]
async fn an_error_message_cannot_forge_a_line_of_the_log() {
    let event = "event: { maximum_retry_attempts: 0 }";
    let running = Running::start(&fixture_function("").replacen(
        "queue: 1,",
        &format!("queue: 1, {event},"),
        1,
    ));
    let message = format!(
        "a\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J{}",
        "x".repeat(100_000)
    );
    let sent = running
        .send(json!({ "do": "raise", "message": message }))
        .await;
    assert_eq!(sent.status, 202);
    let log = running.terminate();
    let line = log
        .lines()
        .find(|line| line.contains("was given up"))
        .unwrap();
    assert!(
        line.contains(r"a\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2Jxxx"),
        "{line}"
    );
    assert!(line.len() < 2_000, "{}", line.len());
}

/// `ulimit` stands in for a full disk: the last write that has no room is cut, and the next fails.
#[tokio::test]
async fn a_file_of_records_has_whole_lines_on_a_full_disk_and_each_lost_event_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failed.ndjson");
    let event = format!(
        "event: {{ maximum_retry_attempts: 0, on_failure: {} }}",
        file.display()
    );
    let config = fixture_function("").replacen("queue: 1,", &format!("queue: 1, {event},"), 1);
    let running =
        Running::start_wrapped(&config, |serve| after("trap '' XFSZ; ulimit -f 8", &serve));
    let mut ids = Vec::new();
    for fill in [1, 1_000, 1_900, 1_900, 1_900, 1_900, 1] {
        let event = json!({ "do": "raise", "fill": "x".repeat(fill) });
        let sent = running.send(event).await;
        ids.push(sent.header("x-amzn-requestid").unwrap().to_owned());
    }
    let log = running.terminate();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with('\n'));
    let records = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["requestContext"]["requestId"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let records: Vec<_> = records.collect();
    let lost = log.lines().filter(|line| line.contains("an event is lost"));
    let lost: Vec<_> = lost.collect();
    assert!(!records.is_empty() && !lost.is_empty(), "{log}");
    for id in ids {
        let is_named = lost.iter().any(|line| line.contains(&id));
        assert!(records.contains(&id) != is_named, "{id}\n{log}");
    }
}

/// Wraps the program in a shell that first runs `setup`.
fn after(setup: &str, serve: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")]);
    command.arg(serve.get_program()).args(serve.get_args());
    command
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn idle_connections_leave_room_for_a_call() {
    for setup in ["ulimit -Sn 100", "ulimit -Hn 100"] {
        let setup = format!("ulimit -Sn 100; {setup}");
        let running = Running::start_wrapped(&fixture_function(""), |serve| after(&setup, &serve));
        let mut idle = Vec::new();
        for _ in 0..150 {
            idle.push(TcpStream::connect(&running.address).await.unwrap());
        }
        let call = running.invoke(json!({}));
        let call = tokio::time::timeout(std::time::Duration::from_secs(8), call).await;
        assert_eq!(call.expect(&setup).status, 200);
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_function_has_the_limit_of_open_files_that_the_invoker_was_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limit");
    let script = format!(
        "sleep 0.3; ulimit -Sn > limit; exec python3 {}",
        crate::support::fixture()
    );
    // Whatever is isolated, a function sees its own directory.
    let config = format!(
        "functions: {{ f: {{ local: {{ command: [sh, -c, '{script}'], directory: {} }} }} }}",
        folder.path().display()
    );
    let running = Running::start_wrapped(&config, |serve| after("ulimit -Sn 512", &serve));
    assert_eq!(running.invoke(json!({})).await.status, 200);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "512\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let limit = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let mut numbers = limit.split_whitespace().skip(3);
    assert_eq!(
        numbers.next(),
        numbers.next(),
        "the invoker's own is raised"
    );
}
