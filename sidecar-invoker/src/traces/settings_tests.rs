use super::*;

fn read(
    config: Option<&TracesConfig>,
    variables: &[(&str, &str)],
) -> (Option<Settings>, Vec<String>) {
    let find = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read(config, &find)
}

fn of_variables(variables: &[(&str, &str)]) -> Settings {
    let (settings, warnings) = read(None, variables);
    assert_eq!(warnings, Vec::<String>::new());
    settings.unwrap()
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

#[test]
fn nothing_is_exported_unless_something_asks_for_it() {
    assert_eq!(read(None, &[]), (None, vec![]));
    assert_eq!(
        read(
            None,
            &[
                ("OTEL_SERVICE_NAME", "x"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "")
            ]
        )
        .0,
        None
    );
    let block = TracesConfig::default();
    let settings = read(Some(&block), &[]).0.unwrap();
    assert_eq!(settings.endpoint, TracesEndpoint::default());
    for off in [
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        assert_eq!(read(Some(&block), &[ENDPOINT, off]), (None, vec![]));
    }
}

#[test]
fn the_variables_of_opentelemetry_are_read() {
    let settings = of_variables(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20b, x-team=mesh"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=ignored,deployment.environment.name=test%2C1",
        ),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ]);
    assert_eq!(settings.endpoint.0, "http://collector:4318/v1/traces");
    assert_eq!(settings.headers["x-api-key"], "a b");
    assert_eq!(settings.headers["x-team"], "mesh");
    assert!(!format!("{settings:?}").contains("a b"));
    assert_eq!(settings.timeout, Duration::from_millis(2_500));
    let resource: Vec<_> = settings
        .resource
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        resource,
        [
            ("service.name", "edge"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("deployment.environment.name", "test,1"),
        ]
    );
    assert_eq!(settings.sampler, Sampler::new(false, SampleRatio(0.25)));

    let of_traces = of_variables(&[
        ENDPOINT,
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://traces.example.com/own",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"),
    ]);
    assert_eq!(of_traces.endpoint.0, "https://traces.example.com/own");
    assert_eq!(
        (of_traces.headers.len(), of_traces.headers.contains_key("b")),
        (1, true)
    );
}

#[test]
fn the_file_wins_over_the_variables() {
    let block = TracesConfig {
        endpoint: TracesEndpoint::parse("http://own:1"),
        headers: [header("x-api-key", "own").unwrap()].into_iter().collect(),
        timeout: Some(Duration::from_secs(1)),
        service_name: Some("own".to_owned()),
        sample_ratio: Some(SampleRatio(0.5)),
    };
    let variables = [
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a,b=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let (settings, warnings) = read(Some(&block), &variables);
    let settings = settings.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(settings.endpoint.0, "http://own:1/v1/traces");
    assert_eq!(
        (settings.headers.len(), &settings.headers["x-api-key"]),
        (2, &"own".parse().unwrap())
    );
    assert_eq!(settings.timeout, Duration::from_secs(1));
    assert_eq!(settings.resource[0].1, "own");
    assert_eq!(settings.sampler, Sampler::new(true, SampleRatio(0.5)));
}

#[test]
fn a_variable_that_is_not_valid_is_left_out_with_a_warning() {
    let (settings, warnings) = read(
        None,
        &[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ],
    );
    assert_eq!(settings.unwrap(), of_variables(&[ENDPOINT]));
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    assert!(warnings.iter().all(|warning| !warning.contains("secret")));

    let (settings, warnings) = read(None, &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!((settings, warnings.len()), (None, 1));
    assert!(
        warnings[0].contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\""),
        "{warnings:?}"
    );
    let (settings, warnings) = read(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]);
    assert_eq!((settings, warnings.len()), (None, 1));
}

#[test]
fn a_sampler_follows_the_caller_or_a_ratio() {
    let context = |trace_id, is_sampled| TraceContext {
        trace_id,
        span_id: None,
        is_sampled,
    };
    let named = |name| of_variables(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", name)]).sampler;
    let parent_based = named("parentbased_always_off");
    assert!(parent_based.is_sampled(&context(1, Some(true))));
    assert!(!parent_based.is_sampled(&context(1, None)));
    assert!(named("always_on").is_sampled(&context(1, Some(false))));
    assert!(!named("parentbased_always_on").is_sampled(&context(1, Some(false))));
    assert!(!named("always_off").is_sampled(&context(1, Some(true))));
    let quarter = Sampler::new(true, SampleRatio(0.25));
    let sampled = (0..1_000_u64).filter(|number| {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        quarter.is_sampled(&context(u128::from(random) | 1 << 100, None))
    });
    let sampled = sampled.count();
    assert!((200..300).contains(&sampled), "{sampled}");
    for ratio in [u64::MAX, 0] {
        let last = context(u128::from(ratio), None);
        assert!(Sampler::new(true, SampleRatio::ALL).is_sampled(&last));
        assert!(!Sampler::new(true, SampleRatio::NONE).is_sampled(&last));
    }
}
