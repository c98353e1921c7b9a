//! The page of the console in a real Chromium. The checks are in `tests/browser`.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write, read_to_string};
use std::path::Path;
use std::process::Stdio;

use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::signal;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use xtask::workspace_root;

const CONFIG: &str = "functions:
  shop:
    local: { concurrency: 4, command: [python3, -m, awslambdaric, app.handler] }
  mail:
    local: { concurrency: 2, command: [python3, -m, awslambdaric, app.handler] }
routes:
- { path: /mail, function: mail }
- { function: shop }
";

const FUNCTION: &str = r#"
import json

def handler(event, context):
    path = event["rawPath"]
    body = event.get("body") or ""
    headers = {"content-type": "application/json"}
    if path == "/fail":
        return {"statusCode": 200, "body": event["card"]}
    if path == "/missing":
        return {"statusCode": 404, "headers": headers, "body": '{"message":"no such order"}'}
    if path == "/markup":
        print(body)
        return {"statusCode": 200, "headers": {"x-markup": event["headers"]["x-markup"]}, "body": body}
    if path.startswith("/log/"):
        print("x" * int(path[len("/log/"):]))
    if path.startswith("/long/"):
        return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "x" * int(path[len("/long/"):])}
    if path in ("/echo", "/edited"):
        return {"statusCode": 200, "headers": headers, "body": body}
    if event.get("requestContext", {}).get("http", {}).get("method") == "POST":
        print("order taken")
        return {"statusCode": 201, "headers": headers, "body": '{"created":17}'}
    print("order read")
    return {"statusCode": 200, "headers": headers, "body": json.dumps({"order": path, "total": 12.5})}
"#;

/// Runs a check of `tests/browser` against a project that is served. `arguments` are further ones.
fn check(name: &str, arguments: &[&Path]) {
    let mut driver = match xtask::browser::driver() {
        Ok(driver) => driver,
        Err(error) => return xtask::skip(name, &format!("{error:#}")),
    };
    let folder = ProjectFolder::new(&[("invoker.yaml", CONFIG), ("app.py", FUNCTION)]);
    let admin = free_address();
    let start = || {
        let mut command = folder.command();
        // A later option replaces an earlier one.
        command.args(["--admin-port", &admin.port().to_string()]);
        Up::start(&command).expect("a served project")
    };
    let mut up = start();
    let mut errors = tempfile::tempfile().expect("a temporary file");
    let mut driver = driver
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(workspace_root().join("tests/browser/console.py"))
        .arg(name)
        .arg(format!("http://{admin}/console/"))
        .arg(format!("http://{}/", up.address))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::try_clone(&errors).expect("a file"))
        .spawn()
        .expect("Python runs");
    let mut input = driver.stdin.take().expect("a pipe");
    for line in BufReader::new(driver.stdout.take().expect("a pipe")).lines() {
        assert_eq!(line.expect("text"), "restart");
        signal(up.id(), "INT");
        up.wait();
        up = start();
        writeln!(input, "http://{}/", up.address).expect("the driver reads");
    }
    let status = driver.wait().expect("the driver ends");
    errors.rewind().expect("a file");
    let errors = read_to_string(errors).expect("text");
    assert!(status.success(), "{errors}\n{}", up.log());
    eprintln!("{errors}");
}

/// Makes a test of each check.
macro_rules! checks {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            check(stringify!($name), &[]);
        }
    )* };
}

checks! {
    an_invocation_is_shown_from_request_to_response
    a_failure_has_its_reason_and_the_source
    data_is_never_markup
    documents_are_formatted_and_compared_exactly
    secrets_are_masked_until_they_are_revealed
    other_formats_and_contracts_are_compared
    a_megabyte_is_shown_on_request
    everything_works_by_keyboard_alone
    nothing_is_cut_off_on_a_phone
    axe_finds_no_violation_in_light_and_dark
    an_invocation_is_replayed_as_it_was_or_edited
    an_invocation_is_copied_and_saved
    the_list_is_filtered_paused_and_cleared
    the_page_connects_again_after_a_restart
    a_page_that_slept_an_hour_connects_again
    a_page_of_another_origin_reads_and_changes_nothing
    a_burst_leaves_the_page_quick_and_is_counted
}

#[test]
fn the_pictures_of_the_documentation_are_small() {
    let images = workspace_root().join("docs/images");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(&images).expect("a folder");
        check("pictures", &[&images]);
    }
    for name in ["light", "dark", "comparison", "functions", "phone"] {
        let picture = images.join(format!("console-{name}.png"));
        let size = picture.metadata().expect("a picture").len();
        assert!(size <= 150_000, "{}: {size} bytes", picture.display());
    }
}
