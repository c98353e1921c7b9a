//! A reader's terminals.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xtask::envoy::NEWEST;
use xtask::workspace_root;

use super::block::{Block, Page};
use super::output::matches;
use crate::generated::{envoy, filter};
use crate::invoker::BINARY;
use crate::process::Process;
use crate::shared::Component;

/// The programs that serve until they are ended, and what they print once they do.
const SERVERS: [(&str, &str); 7] = [
    ("cargo xtask up", "health and metrics"),
    ("sidecar-invoker up", "health and metrics"),
    ("sidecar-invoker serve", "serving the Invoke API"),
    ("sidecar-invoker lrp", "listening on"),
    ("envoy ", "starting main dispatch loop"),
    ("-m awslambdaric", ""),
    ("prometheus ", "Server is ready"),
];

/// The time limit for a server to print what its document says.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Servers that a reader starts beside the one that runs.
const BESIDE: [&str; 3] = ["envoy ", "-m awslambdaric", "prometheus "];

/// A folder with a link to the project's examples, and the programs that were started in it.
pub struct Session {
    folder: TempDir,
    path: OsString,
    exported: Vec<(String, String)>,
    /// The tools that a machine may lack, each with the reason if this one does.
    tools: BTreeMap<&'static str, Option<String>>,
    servers: Vec<Process>,
    mistakes: Vec<String>,
}

impl Session {
    /// Creates a folder. `xtask` is the program of `cargo xtask`.
    ///
    /// # Panics
    /// A program that readers have cannot be built or fetched.
    pub fn new(xtask: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let programs = folder.path().join(".programs");
        fs::create_dir(&programs).expect("a folder");
        let python = xtask::python::environment().expect("an environment for Python");
        symlink(BINARY.path(), programs.join("sidecar-invoker")).expect("a link");
        symlink(envoy(NEWEST), programs.join("envoy")).expect("a link");
        symlink(
            workspace_root().join("examples"),
            folder.path().join("examples"),
        )
        .expect("a link");
        // curl shows its progress where its output is not a terminal.
        fs::write(folder.path().join(".curlrc"), "silent\nshow-error\n").expect("a file");
        // Cargo would compile the workspace anew.
        let cargo = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", xtask.display());
        write_program(&programs.join("cargo"), &cargo);
        write_program(&programs.join("aws"), &aws_cli());
        let php = xtask::php::folder();
        let prometheus = xtask::prometheus::programs();
        if let Ok(found) = &prometheus {
            symlink(&found.server, programs.join("prometheus")).expect("a link");
        }
        let fetched = |error: &anyhow::Error| format!("{error:#}");
        let tools = BTreeMap::from([
            ("PHP", php.as_ref().err().map(fetched)),
            ("Prometheus", prometheus.as_ref().err().map(fetched)),
            ("Node.js", not_on_path("node")),
            ("man", not_on_path("man")),
        ]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [programs, python.join("bin")].into_iter().chain(php.ok());
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)));
        Self {
            folder,
            path: path.expect("a PATH"),
            exported: Vec::new(),
            tools,
            servers: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Acts on a document from its beginning to its end. Returns the number of commands that were run, and the
    /// differences between the document and what happened.
    ///
    /// # Panics
    /// A file of the document cannot be written, or a program does not start.
    pub fn follow(mut self, page: &Page) -> (usize, Vec<String>) {
        let mut count = 0;
        let mut is_skipped = false;
        for (line, block) in &page.blocks {
            let place = format!("{}:{line}", page.path.display());
            if std::mem::take(&mut is_skipped) {
                continue;
            }
            match block {
                Block::NotRun(_) => {}
                Block::Needs(tool) => match self.tools.get(&**tool) {
                    Some(None) => {}
                    Some(Some(reason)) => {
                        xtask::skip_part(&place, reason);
                        is_skipped = true;
                    }
                    None => {
                        let known: Vec<_> = self.tools.keys().copied().collect();
                        let known = known.join(", ");
                        let mistake = format!("{place}: {tool} is none of the tools {known}");
                        self.mistakes.push(mistake);
                    }
                },
                Block::Setup(command) => self.run(&place, command, ""),
                Block::File(path, content) => {
                    let path = self.folder.path().join(path);
                    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                    fs::write(path, content).expect("a file in a temporary folder");
                }
                Block::NotSent(commands) => {
                    for command in commands {
                        count += 1;
                        // The CLI checks a command against AWS's model before it connects.
                        let checked = format!(
                            "export AWS_DEFAULT_REGION=eu-west-1 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x NO_PROXY='*'; \
                             answer=$({command} --endpoint-url http://127.0.0.1:1 2>&1); \
                             case $answer in *'Could not connect'*) ;; *) echo \"$answer\"; exit 1 ;; esac"
                        );
                        self.run(&place, &checked, "");
                    }
                }
                Block::Commands(commands) => {
                    for (command, expected) in commands {
                        count += 1;
                        if let Some(variable) = command.strip_prefix("export ") {
                            self.export(&place, variable);
                            continue;
                        }
                        let server = SERVERS
                            .iter()
                            .find(|(program, _)| command.contains(program));
                        match server {
                            Some((program, ready)) => {
                                self.serve(&place, command, expected, (program, ready));
                            }
                            None => self.run(&place, command, expected),
                        }
                    }
                }
            }
        }
        self.end_servers();
        (count, self.mistakes)
    }

    /// Sets a variable for the commands that follow.
    fn export(&mut self, place: &str, variable: &str) {
        let name = variable.split('=').next().unwrap_or_default();
        let mut shell = self.shell(&format!("export {variable}\nprintf %s \"${name}\""));
        let output = shell.output().expect("bash starts");
        let value = String::from_utf8_lossy(&output.stdout).into_owned();
        if value.is_empty() {
            self.mistakes.push(format!("{place}: {name} is empty"));
        }
        self.exported.push((name.to_owned(), value));
    }

    /// Runs a command to its end.
    fn run(&mut self, place: &str, command: &str, expected: &str) {
        let mut terminal = in_a_terminal(&self.shell(command));
        let output = terminal.stdin(Stdio::null()).output();
        let output = output.expect("Python starts");
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let mistake = format!("{place}: {command} fails ({}):\n{text}", output.status);
            self.mistakes.push(mistake);
        } else if !matches(expected, &text) {
            self.mistakes
                .push(difference(place, command, expected, &text));
        }
    }

    /// Starts a program that serves, and ends those of before, unless it goes with them.
    fn serve(
        &mut self,
        place: &str,
        command: &str,
        expected: &str,
        (program, ready): (&str, &str),
    ) {
        if !BESIDE.contains(&program) {
            self.end_servers();
        }
        let command = command.trim_end_matches('&');
        let process = Process::start(
            "a command of a document",
            &self.shell(&format!("exec env {command}")),
        );
        let prints_as_expected = || {
            let log = process.log();
            // A server with mistakes in its configuration ends.
            let is_complete = log.contains(ready) || process.exit_status().is_some();
            is_complete && (matches(expected, &log) || matches(&format!("{expected}\n..."), &log))
        };
        let deadline = Instant::now() + READY_TIMEOUT;
        while !prints_as_expected() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        if !prints_as_expected() {
            let mistake = difference(place, command, expected, &process.log());
            self.mistakes.push(mistake);
        }
        match process.exit_status() {
            Some(_) => _ = process.wait(),
            None => self.servers.push(process),
        }
    }

    /// Ends the programs that serve, the last one first, since it may need the others.
    fn end_servers(&mut self) {
        while self.servers.pop().is_some() {}
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("bash");
        shell
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("LAMBDA_MESH_FILTER", filter(NEWEST))
            .env("HOME", self.folder.path())
            .env("PAGER", "cat")
            .envs(self.exported.iter().map(|(name, value)| (name, value)))
            .args(["-c", command]);
        shell
    }
}

/// Returns why a program cannot be run, if it cannot.
fn not_on_path(program: &str) -> Option<String> {
    let found = Command::new(program).arg("--version").output();
    found
        .is_err()
        .then(|| format!("`{program}` is not on PATH"))
}

/// Returns the command in a terminal of its own, as programs may print less to a pipe.
fn in_a_terminal(command: &Command) -> Command {
    let mut python = Command::new("python3");
    // Once a program has closed its output, the terminal goes away, which must not end the program.
    let program = "import os, pty, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); \
                   sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    python
        .args(["-c", program])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            python.env(name, value);
        }
    }
    python
}

/// Returns a script that is the AWS CLI.
fn aws_cli() -> String {
    let python = xtask::python::with_aws_clients().expect("the AWS CLI");
    let packages = python.get_envs().find_map(|(_, value)| value);
    format!(
        "#!/bin/sh\nAWS_MAX_ATTEMPTS=1 PYTHONPATH='{}' exec '{}' -m awscli \"$@\"\n",
        packages.unwrap_or_default().display(),
        python.get_program().display()
    )
}

fn difference(place: &str, command: &str, expected: &str, found: &str) -> String {
    format!("{place}: {command} prints\n{found}\nand not\n{expected}\n")
}

fn write_program(path: &PathBuf, text: &str) {
    fs::write(path, text).expect("a file in a temporary folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}
