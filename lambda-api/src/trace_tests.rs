use super::*;
use proptest::prelude::*;

const ROOT: &str = "Root=1-58406520-a006649127e371903a2de979";
const XRAY: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";
const PARENT: &str = "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";

fn read<'a>(xray: &'a str, traceparent: &'a str) -> Option<Trace<'a>> {
    let [xray, traceparent] =
        [xray, traceparent].map(|text| (!text.is_empty()).then_some(text.as_bytes()));
    Trace::read(xray, traceparent)
}

#[test]
fn a_new_trace_has_24_digits_of_randomness() {
    let xray = |id, is_sampled| Trace::root(id, is_sampled).xray().to_owned();
    assert_eq!(
        xray(new_id(1, 2), None),
        "Root=1-00000001-000000000000000000000002"
    );
    let last = xray(new_id(u32::MAX, u128::MAX), Some(true));
    assert_eq!(last, "Root=1-ffffffff-ffffffffffffffffffffffff;Sampled=1");
    assert_ne!(new_id(0, 0), 0);
}

#[test]
fn each_header_is_made_from_the_other() {
    let trace = read("", PARENT).unwrap();
    assert_eq!(trace.xray(), XRAY);
    assert_eq!(trace.traceparent().unwrap(), PARENT);
    let trace = read(XRAY, "").unwrap();
    assert_eq!(trace.xray(), XRAY);
    assert_eq!(trace.traceparent().unwrap(), PARENT);
    assert_eq!(
        TraceContext::from_traceparent(PARENT.as_bytes()),
        Some(trace.context)
    );

    let unsampled = PARENT.replace("-01", "-00");
    assert!(read("", &unsampled).unwrap().xray().ends_with(";Sampled=0"));
    // Nothing is a parent, so that there is no `traceparent`.
    assert_eq!(read(ROOT, "").unwrap().traceparent(), None);
    for undecided in [";Sampled=?", ""] {
        let xray = format!("{ROOT};Parent=53995c3f42cd8ad8{undecided}");
        let trace = read(&xray, "").unwrap();
        assert_eq!(trace.context.is_sampled, None);
        assert_eq!(trace.xray(), xray);
        assert_eq!(trace.traceparent().unwrap(), unsampled);
    }
    assert_eq!(read("", ""), None);
}

#[test]
fn the_span_of_one_trace_is_that_of_traceparent() {
    let xray = format!("Self=1-1-2;{ROOT};Parent=0000000000000001;Sampled=0;Lineage=1:a87bd80c:0");
    let trace = read(&xray, PARENT).unwrap();
    assert_eq!(
        trace.xray(),
        format!("{XRAY};Self=1-1-2;Lineage=1:a87bd80c:0")
    );
}

#[test]
fn two_traces_go_on_side_by_side() {
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    let xray = format!("{ROOT};Sampled=0");
    let trace = read(&xray, other).unwrap();
    assert_eq!(trace.xray(), xray);
    assert_eq!(trace.traceparent().unwrap(), other);
    assert_eq!(trace.xray_within(Some(3), true), xray);

    // Nothing is recorded in the trace that a load balancer names.
    let trace = read(
        "Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678",
        other,
    );
    assert_eq!(
        trace.unwrap().xray(),
        "Root=1-11111111-111111111111111111111111;Parent=2222222222222222;Sampled=1;Self=1-67891234-12456789abcdef012345678"
    );
}

#[test]
fn a_span_of_a_trace_is_the_parent_of_what_it_calls() {
    let xray = format!("{XRAY};Lineage=1:a87bd80c:0");
    let of_caller = read(&xray, "").unwrap().xray_within(None, true);
    assert_eq!(of_caller, xray);
    let trace = read(&xray, "").unwrap().xray_within(Some(0xab), false);
    assert_eq!(
        trace,
        format!("{ROOT};Parent=00000000000000ab;Sampled=0;Lineage=1:a87bd80c:0")
    );
}

#[test]
fn a_trace_of_xray_may_have_spaces_and_capital_digits() {
    let trace = read(
        "Root=1-58406520-A006649127E371903A2DE979; Parent=53995c3f42cd8ad8; Sampled=1",
        "",
    );
    let trace = trace.unwrap();
    assert_eq!(trace.traceparent().unwrap(), PARENT);
    assert!(!trace.xray().contains(' '));
}

#[test]
fn an_invalid_trace_of_xray_is_none() {
    for wrong in [
        "x",
        "Root=1-a-b",
        "Root=2-58406520-a006649127e371903a2de979",
        "Root=1-00000000-000000000000000000000000",
        "Root=1-58406520-a006649127e371903a2de97",
        "Root=1-58406520-a006649127e371903a2de9790",
        "Root=1-5840652g-a006649127e371903a2de979",
        "Root=1-+8406520-a006649127e371903a2de979",
        "root=1-58406520-a006649127e371903a2de979",
        "Parent=53995c3f42cd8ad8;Sampled=1",
        "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad",
        "Root=1-58406520-a006649127e371903a2de979;Parent=0000000000000000",
        "Root=1-58406520-a006649127e371903a2de979;Sampled=2",
        "Root=1-58406520-a006649127e371903a2de979;Sampled=1;Sampled=0",
        "Root=1-58406520-a006649127e371903a2de979;Root=1-58406520-a006649127e371903a2de979",
        "Root=1-58406520-a006649127e371903a2de979;Self=caf\u{e9}",
        "Root=1-58406520-a006649127e371903a2de979;\tSampled=1",
    ] {
        assert_eq!(read(wrong, ""), None, "{wrong}");
        assert_eq!(read(wrong, PARENT).unwrap().xray(), XRAY, "{wrong}");
    }
    let long = format!("{ROOT};Self={}", "a".repeat(MAX_TRACE_ID_BYTES));
    assert_eq!(read(&long, ""), None);
    let long = format!(
        "{ROOT};Self={}",
        "a".repeat(MAX_TRACE_ID_BYTES - ROOT.len() - 6)
    );
    assert_eq!(read(&long, PARENT).unwrap().xray(), XRAY);
}

#[test]
fn an_invalid_traceparent_is_none() {
    for wrong in [
        "00",
        "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8",
        "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-1",
        "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-0x",
        "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01-",
        "00-58406520A006649127e371903a2de979-53995c3f42cd8ad8-01",
        "00-00000000000000000000000000000000-53995c3f42cd8ad8-01",
        "00-58406520a006649127e371903a2de979-0000000000000000-01",
        "00-58406520a006649127e371903a2de979_53995c3f42cd8ad8-01",
        "ff-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01",
        "01-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01x",
    ] {
        assert_eq!(
            TraceContext::from_traceparent(wrong.as_bytes()),
            None,
            "{wrong}"
        );
        assert_eq!(read(XRAY, wrong).unwrap().traceparent().unwrap(), PARENT);
    }
    for later in [
        "01-58406520a006649127e371903a2de979-53995c3f42cd8ad8-03",
        &PARENT.replacen("00", "cc", 1),
    ] {
        assert_eq!(
            read("", later).unwrap().traceparent().unwrap(),
            PARENT,
            "{later}"
        );
    }
    let with_more = b"01-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01-more";
    assert!(TraceContext::from_traceparent(with_more).is_some());
}

#[test]
fn a_valid_id_is_short_and_visible() {
    assert!(is_valid(&[b'a'; MAX_TRACE_ID_BYTES]));
    assert!(!is_valid(&[b'a'; MAX_TRACE_ID_BYTES + 1]));
    assert!(!is_valid(b"\xff"));
    assert!(!is_valid(b"a b"));
}

#[test]
fn a_valid_trace_state_is_short_and_printable() {
    assert!(is_valid_state(b"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"));
    for wrong in [
        &b""[..],
        b" ",
        b"a=\t",
        b"a=\xe9",
        &[b'a'; MAX_TRACE_STATE_BYTES + 1],
    ] {
        assert!(!is_valid_state(wrong), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn every_context_is_read_as_it_was_written(
        trace_id in 1_u128..,
        span_id in 1_u64..,
        is_sampled: bool,
    ) {
        let context = TraceContext { trace_id, span_id: Some(span_id), is_sampled: Some(is_sampled) };
        let parent = context.to_traceparent().unwrap();
        prop_assert_eq!(TraceContext::from_traceparent(parent.as_bytes()), Some(context));
        let xray = context.to_xray();
        prop_assert_eq!(Trace::read(Some(xray.as_bytes()), None).unwrap().context, context);
    }

    #[test]
    fn no_header_causes_a_panic(xray: Vec<u8>, parent: Vec<u8>, text in "(Root=1-[0-9a-f-]{8,40}|;|Parent=[0-9a-f]{15,17}|Sampled=.){0,5}") {
        let _ = Trace::read(Some(&xray), Some(&parent));
        if let Some(trace) = Trace::read(Some(text.as_bytes()), Some(&parent)) {
            prop_assert!(is_valid(trace.xray().as_bytes()));
        }
    }
}
