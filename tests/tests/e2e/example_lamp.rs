//! `examples/serverless-lamp`: a website of PHP as one function, behind a real php-fpm.

use std::fs;
use std::path::Path;

use lambda_mesh_tests::client::{Request, send_all};
use lambda_mesh_tests::endpoint::Endpoint;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

use crate::shipped_routing::static_site;

const MEGABYTES: usize = 1 << 20;

/// Serves a copy of the example with these texts of its `invoker.yaml` replaced. Without PHP, the test is
/// skipped.
fn site(test: &str, replaced: &[(&str, &str)]) -> Option<(ProjectFolder, Up)> {
    let example = ProjectFolder::php_example("serverless-lamp", replaced);
    example
        .map_err(|error| xtask::skip(test, &format!("{error:#}")))
        .ok()
}

/// Returns the processes whose working directory is in `folder`.
fn processes_in(folder: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("procfs");
    let mut names = Vec::new();
    for process in all.filter_map(Result::ok).map(|entry| entry.path()) {
        let directory = fs::read_link(process.join("cwd"));
        if directory.is_ok_and(|directory| directory.starts_with(folder)) {
            names.extend(fs::read_to_string(process.join("comm")));
        }
    }
    names
}

/// Returns the cookies of a response, as a browser sends them back.
fn cookies(set: &[&str]) -> String {
    let pairs = set.iter().filter_map(|cookie| cookie.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// Returns a form with a title and a file.
fn upload(request: Request, file: &[u8]) -> Request {
    let mut body =
        b"--frontier\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nPicture\r\n\
        --frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
            .to_vec();
    body.extend(file);
    body.extend(b"\r\n--frontier--\r\n");
    let media_type = "multipart/form-data; boundary=frontier";
    request.header("content-type", media_type).body(body)
}

#[test]
fn pages_forms_uploads_and_pictures_come_through_in_both_formats() {
    for format in ["apigateway-v1", "apigateway-v2"] {
        let replaced = [("apigateway-v1", format)];
        let Some((folder, up)) = site("the example of a website in PHP", &replaced) else {
            return;
        };

        let first = up.request("GET", "/").send();
        assert_eq!(first.status, 200, "{format}: {first:?}");
        assert_eq!(first.header("content-type"), "text/html; charset=utf-8");
        assert!(first.text().contains("Hello, stranger</h1><p>Visits: 1<"));
        let session = cookies(&first.all("set-cookie"));

        let login = up.request("POST", "/login").body("name=Ada+%26+Co");
        let login = login.header("content-type", "application/x-www-form-urlencoded");
        let login = login.send();
        assert_eq!((login.status, login.header("location")), (303, "/"));
        let set = login.all("set-cookie");
        assert_eq!(set.len(), 2, "{set:?}");
        let cookies = format!("{session}; {}", cookies(&set));
        let again = up.request("GET", "/").header("cookie", cookies).send();
        assert!(
            again
                .text()
                .contains("Hello, Ada &amp; Co</h1><p>Visits: 2<"),
            "{format}: {again:?}"
        );

        let moved = up.request("GET", "/old").send();
        assert_eq!(
            (moved.status, moved.header("location")),
            (302, "/?from=old")
        );
        assert_eq!(up.request("GET", "/missing").send().status, 404);

        let picture = folder
            .path()
            .join("examples/serverless-lamp/public/assets/logo.png");
        let picture = fs::read(picture).expect("a shipped file");
        let response = up.request("GET", "/logo.png").send();
        assert_eq!(response.header("content-type"), "image/png");
        assert_eq!(response.body, picture);
        for path in ["/", "/logo.png"] {
            let head = up.request("HEAD", path).send();
            assert_eq!((head.status, head.body.len()), (200, 0), "{format} {path}");
        }

        let file: Vec<u8> = (0..=250).cycle().take(4 * MEGABYTES).collect();
        let sent = upload(up.request("POST", "/upload"), &file).send();
        let expected = json!({
            "name": "a.bin",
            "bytes": file.len(),
            "sha256": "a117210941a0b00dcb2d8577e680d84b6fa0eaf760d2afc654c953b9859d54fa",
            "title": "Picture",
        });
        assert_eq!(sent.json(), expected, "{format}");
        let text = "Grüße, 世界! ".repeat(4 * MEGABYTES / 18);
        for (media_type, body) in [
            ("application/octet-stream", file),
            ("text/plain;charset=UTF-8", text.into_bytes()),
        ] {
            let request = up.request("POST", "/echo").body(body.clone());
            let echo = request.header("content-type", media_type).send();
            assert_eq!(echo.header("content-type"), media_type);
            assert!(
                echo.status == 200 && echo.body == body,
                "{format} {media_type}"
            );
        }
    }
}

#[test]
fn the_script_sees_the_path_and_the_query_as_they_were_sent() {
    for format in ["apigateway-v1", "apigateway-v2"] {
        let replaced = [("apigateway-v1", format)];
        let Some((_folder, up)) = site("the requests of a website in PHP", &replaced) else {
            return;
        };
        let request = up.request("GET", "/show/a%3Fb%20c?x=1&x=2&y[]=%26&z=");
        let request = request
            .header("proxy", "evil")
            .header("x_forwarded_for", "evil");
        let request = request.header("accept", "a/b").header("accept", "c/d");
        let seen = request.host("shop.example.com:81").send().json();
        assert_eq!(
            seen["get"],
            json!({ "x": "2", "y": ["&"], "z": "" }),
            "{format}"
        );
        let server = &seen["server"];
        let uri = server["REQUEST_URI"].as_str().expect("a text");
        assert_eq!(uri.split('?').next(), Some("/show/a%3Fb%20c"), "{format}");
        assert_eq!(
            server["HTTP_ACCEPT"]
                .as_str()
                .map(|list| list.replace(' ', "")),
            Some("a/b,c/d".to_owned())
        );
        assert_eq!(server["HTTP_HOST"], "shop.example.com:81");
        assert_eq!(
            (&server["SERVER_NAME"], &server["SERVER_PORT"]),
            (&json!("shop.example.com"), &json!("81"))
        );
        assert_eq!(server["REMOTE_ADDR"], "127.0.0.1");
        assert_eq!(server.get("HTTP_PROXY"), None);
        assert!(!seen.to_string().contains("evil"), "{format}: {seen}");
        // Only an event of a REST API has room for it.
        let expected = if format == "apigateway-v1" {
            "/show/a%2Fb"
        } else {
            "/show/a/b"
        };
        let seen = up.request("GET", "/show/a%2Fb").send().json();
        assert_eq!(seen["server"]["REQUEST_URI"], expected);
    }
}

#[test]
fn requests_at_once_never_fail_and_share_their_sessions() {
    let Some((_folder, up)) = site("concurrent visitors of a website in PHP", &[]) else {
        return;
    };
    let mut expected = 1;
    let session = "PHPSESSID=shared";
    for round in 0..10 {
        let requests = (0..3).map(|_| up.request("GET", "/").header("cookie", session));
        let mut visits = Vec::new();
        for response in send_all(requests, 3) {
            let response = response.expect("a response");
            assert_eq!(response.status, 200, "{round}: {response:?}");
            let text = response.text();
            let count = text
                .split("Visits: ")
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            visits.push(count.expect("a number").parse::<u32>().expect("a number"));
        }
        visits.sort_unstable();
        assert_eq!(visits, [expected, expected + 1, expected + 2], "{round}");
        expected += 3;
    }
}

#[test]
fn no_process_of_php_is_left_after_an_idle_end() {
    let replaced = [("idle_timeout: 10m", "idle_timeout: 1s")];
    let Some((folder, up)) = site("the idle end of a website in PHP", &replaced) else {
        return;
    };
    let requests = (0..3).map(|_| up.request("GET", "/"));
    for response in send_all(requests, 3) {
        assert_eq!(response.expect("a response").status, 200);
    }
    // The bootstrap, php-fpm and its worker.
    let example = folder.path().join("examples");
    let running = processes_in(&example);
    assert!(running.len() >= 3, "{running:?}");
    eventually("the end of all processes", || {
        processes_in(&example).is_empty().then_some(())
    });
    assert_eq!(up.request("GET", "/").send().status, 200);
}

#[test]
fn a_worker_that_crashes_and_a_script_that_does_not_read_its_input_stop_nobody() {
    let Some((folder, up)) = site("crashes of a website in PHP", &[]) else {
        return;
    };
    let script = "<?php if ($_SERVER['REQUEST_URI'] === '/crash') exec('kill -9 ' . getmypid()); \
                  elseif ($_SERVER['REQUEST_URI'] === '/fatal') missing(); \
                  else echo str_repeat('x', 3 << 20);";
    folder.write("examples/serverless-lamp/public/index.php", script);
    let body = vec![b'y'; 4 * MEGABYTES];
    let request = || {
        let request = up.request("POST", "/large").body(body.clone());
        request
            .header("content-type", "application/octet-stream")
            .send()
    };
    eventually("the new script", || {
        let response = request();
        (response.status == 200 && response.body.len() == 3 * MEGABYTES).then_some(())
    });
    assert_eq!(up.request("GET", "/crash").send().status, 502);
    assert_eq!(request().status, 200);
    assert_eq!(up.request("GET", "/fatal").send().status, 500);
    assert_eq!(request().status, 200);
}

#[test]
fn static_site_yaml_serves_the_website_and_its_files() {
    let Some((_folder, up)) = site("a website in PHP with static files", &[]) else {
        return;
    };
    // `up` has an invoker, and so has any other Envoy.
    let log = up.log_with("--endpoint-url");
    let address = log.split("(--endpoint-url): http://").nth(1);
    let address = address.and_then(|rest| rest.lines().next()?.parse().ok());
    let invoker = Endpoint::Tcp(address.expect("an address"));
    let files = Upstream::start(|_| ScriptedResponse::bytes("a picture"));
    let mesh = static_site(invoker, &files);
    assert_eq!(mesh.get("/assets/logo.png").send().text(), "a picture");
    assert!(mesh.get("/").send().text().contains("Visits: 1"));
    let seen = mesh.get("/show/a?x=1").send().json();
    assert_eq!(seen["server"]["REQUEST_URI"], "/show/a?x=1");
    assert_eq!(files.calls().len(), 1);
}
