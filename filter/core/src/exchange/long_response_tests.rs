//! Responses whose bodies are decoded as they come give the same as those that are whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// A response as the client gets it, and the longest body that Envoy held before the response was whole.
#[derive(Debug, PartialEq)]
struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends `payload` in parts that end at `ends`, each in two pieces.
fn receive(
    plugin: &str,
    method: &[u8],
    payload: &[u8],
    ends: &[usize],
    in_trailers: bool,
) -> (Received, usize) {
    let envoy = envoy(b"{}");
    envoy.is_native.set(true);
    envoy.set_header(Side::Request, ":method", method);
    let mut exchange = invoke(&envoy, plugin);
    respond_with(&envoy, "200", b"");
    assert_eq!(exchange.on_response_headers(&envoy, false), Flow::Pause);
    let (mut before, mut held) = (0, 0);
    let mut ends: Vec<usize> = ends.iter().map(|end| *end % (payload.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(payload.len());
    for (index, end) in ends.iter().enumerate() {
        let part = &payload[before..*end];
        before = *end;
        let (one, two) = part.split_at(part.len() / 3);
        *envoy.part.borrow_mut() = vec![one.to_vec(), two.to_vec()];
        let is_end = index + 1 == ends.len() && !in_trailers;
        let flow = exchange.on_response_body(&envoy, is_end);
        assert_eq!(flow, if is_end { Flow::Continue } else { Flow::Pause });
        let body = envoy.body(Side::Response);
        envoy.set_body(Side::Response, &body);
        if !is_end {
            held = held.max(body.len());
        }
    }
    if in_trailers {
        assert_eq!(exchange.on_response_trailers(&envoy), Flow::Continue);
    }
    let received = Received {
        headers: envoy.headers(Side::Response),
        body: envoy.body(Side::Response),
    };
    (received, held)
}

fn plugin(payload: &str) -> String {
    format!(r#"{{"function":"hello","payload":"{payload}"}}"#)
}

#[test]
fn a_body_is_decoded_before_it_is_whole() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let text = STANDARD.encode(&bytes);
    let payload = format!(
        r#"{{"statusCode":200,"headers":{{"content-type":"image/png"}},"body":"{text}","isBase64Encoded":true}}"#
    );
    let ends: Vec<usize> = (1..10).map(|part| part * payload.len() / 10).collect();
    for payload_format in [
        "apigateway-v1",
        "apigateway-v2",
        "alb",
        "vpc-lattice-v2",
        "function-url",
        "envoy",
    ] {
        let plugin = plugin(payload_format);
        let (received, held) = receive(&plugin, b"GET", payload.as_bytes(), &ends, false);
        assert_eq!(received.body, bytes);
        assert_eq!(
            first(&received.headers, "content-length"),
            Some(b"100000".as_slice())
        );
        assert!(held < 100_000, "{held}");
        let (head, _) = receive(&plugin, b"HEAD", payload.as_bytes(), &ends, true);
        assert_eq!(head.headers, received.headers);
        assert_eq!(head.body, b"");
    }
}

#[test]
fn a_text_is_decoded_before_it_is_whole() {
    let text = "<p>\"A/B\" \u{e9}\u{1f600}</p>\n".repeat(3000);
    let json = serde_json::to_string(&text).unwrap();
    let ascii = |json: &str| {
        json.replace('\u{e9}', "\\u00e9")
            .replace('\u{1f600}', "\\ud83d\\ude00")
    };
    for json in [
        ascii(&json),
        json.replace('<', "\\u003c").replace('>', "\\u003e"),
        json.replace('/', "\\/"),
        json,
    ] {
        let payload = format!(r#"{{"statusCode":201,"body":{json},"headers":{{"x-a":"b"}}}}"#);
        let ends: Vec<usize> = (1..10).map(|part| part * payload.len() / 10).collect();
        let plugin = plugin("apigateway-v2");
        let (expected, _) = receive(&plugin, b"GET", payload.as_bytes(), &[], false);
        let (received, held) = receive(&plugin, b"GET", payload.as_bytes(), &ends, false);
        assert_eq!(received, expected);
        assert_eq!(received.body, text.as_bytes());
        assert_eq!(first(&received.headers, ":status"), Some(b"201".as_slice()));
        assert!(held < text.len(), "{held}");
    }
}

#[test]
fn the_middle_of_a_body_counts() {
    // Only the beginning of a body's text is where the parser finds it.
    let long = "A".repeat(1000);
    for payload in [
        format!(
            r#"{{"x":{{"body":"{long}"}},"body":"AAAA","isBase64Encoded":true,"statusCode":200}}"#
        ),
        format!(r#"{{"body":"{long}","body":"AAAA","isBase64Encoded":true,"statusCode":200}}"#),
        format!(
            r#"{{"body":"AAAA","x":{{"body":"{long}"}},"isBase64Encoded":true,"statusCode":200}}"#
        ),
        format!(
            r#"{{"b\u006fdy":"AAAA","x":{{"body":"{long}"}},"isBase64Encoded":true,"statusCode":200}}"#
        ),
    ] {
        let plugin = plugin("apigateway-v2");
        let ends = [700];
        let (received, _) = receive(&plugin, b"GET", payload.as_bytes(), &ends, false);
        assert_eq!(received.body, [0; 3], "{payload}");
    }
}

proptest! {
    #[test]
    fn a_response_does_not_depend_on_its_parts(
        format in prop::sample::select(vec!["apigateway-v1", "apigateway-v2", "alb", "vpc-lattice-v2", "function-url", "envoy", "raw"]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        before in prop::sample::select(vec![
            r#"{"statusCode":200,"body":"#,
            r#"{"isBase64Encoded":true,"statusCode":200,"headers":{"a":"\"b\""},"body": "#,
            r#"{"status_code":200,"is_base64_encoded":true,"body" :"#,
            r#"{"statusCode":204,"isBase64Encoded":true,"body":"#,
            r#"{"statusCode":99,"body":"#,
            r#"{"errorType":"E","errorMessage":"m","body":"#,
            r#"["body","#,
            r#"{"body":"#,
            r#"{"body":"#,
        ]),
        after in prop::sample::select(vec![
            r#","isBase64Encoded":true}"#,
            r#","isBase64Encoded":true,"statusCode":200}"#,
            r#","isBase64Encoded":false}"#,
            r#","statusCode":200,"isBase64Encoded":true,"body":"AAAA"}"#,
            r#"}"#,
            r#"]"#,
            r#""#,
            r#"}}"#,
        ]),
        change in prop::sample::select(vec!["", "=", "==", "\\/", "\\r\\n", "\\u00e9", "\\ud83d", "\\ud83d\\ude00", "\n", " ", "-", "\"", "\u{e9}", "A", "AA=="]),
        at in 0..300_usize,
        is_text in any::<bool>(),
        ends in prop::collection::vec(0..600_usize, 0..5),
        in_trailers in any::<bool>(),
    ) {
        let mut text = if is_text {
            let json = serde_json::to_string(&String::from_utf8_lossy(&bytes)).unwrap();
            json.get(1..json.len() - 1).unwrap().to_owned()
        } else {
            STANDARD.encode(&bytes)
        };
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.insert_str(at.unwrap(), change);
        let payload = [before, "\"", &text, "\"", after].concat();
        let plugin = plugin(format);
        let (expected, _) = receive(&plugin, b"GET", payload.as_bytes(), &[], false);
        let (received, _) = receive(&plugin, b"GET", payload.as_bytes(), &ends, in_trailers);
        prop_assert_eq!(received, expected);
    }
}
