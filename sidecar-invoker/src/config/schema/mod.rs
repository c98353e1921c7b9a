//! The keys of `invoker.yaml`, their types and defaults.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lambda_filter_core::config::reference::Values;

pub(super) mod aws;
pub(super) mod callers;
pub(super) mod console;
mod env_file;
pub(super) mod functions;
pub(super) mod local;
mod templates;
pub(super) mod traces;
mod versions;

use self::functions::{FunctionKeys, functions};
use self::templates::{JWKS, PARAMETERS, STACK_NAME, check_issuers, served_routes, templates};
use super::authorizer::JwksUrl;
use super::import;
use super::keys::keys;
use super::keys::kind::{self, Custom, DURATION, Form, List, Types};
use super::model::{Config, ImportOverrides, LogFormat};
use super::pattern::Host;
use super::routes;
use super::yaml::decode::Value;
use super::yaml::scalar::{HostPort, Listen, SocketMode, StackName};
use super::yaml::tree::YamlNode;

keys! {
    /// The keys of the file.
    pub(super) struct FileKeys;

    /// Address of the Invoke API: HTTP/1.1 and HTTP/2, without TLS.
    listen: Listen = LISTEN, "`127.0.0.1:9090`";
    /// Permissions of the Unix socket in `listen`.
    socket_mode: SocketMode = SOCKET_MODE, "left by the umask", see "socket_mode";
    /// Address of `/ping`, `/healthz`, `/readyz` and `/metrics`.
    admin: HostPort = ADMIN, "`127.0.0.1:9091`";
    /// Page at `/console/` of `admin` that shows each invocation.
    console = console::values(), "`false`; `true` with `up`", see "console";
    /// Further host names of the invoker, for callers on its own machine.
    hosts: Vec<Host> = HOSTS, "none", see "hosts";
    /// The callers who may invoke functions. Required if `listen` can be reached from other machines.
    callers = kind::mapping("callers", &callers::CallersKeys::reference()),
        "everyone who can connect";
    /// Time for running invocations and queued events to finish after SIGTERM.
    drain_timeout: Duration = DURATION, "`10s`";
    /// Form of the log, on standard error, and of the lines that functions write, on standard output.
    log_format: LogFormat = LOG_FORMAT, "`text`";
    /// Export of the invoker's spans to an OpenTelemetry collector.
    traces = kind::mapping("traces", &traces::TracesKeys::reference()), "off";
    /// AWS SAM or CloudFormation templates whose functions are added.
    import = templates(), "none";
    /// Name of the stack, `AWS::StackName`, in the templates.
    import_stack_name: StackName = STACK_NAME, "the name of the template's folder", see "import_stack_name";
    /// Parameters of the templates, over their defaults.
    import_parameters: BTreeMap<String, String> = PARAMETERS, "none";
    /// URLs of the keys of the issuers whose tokens the APIs of templates ask for.
    import_jwks: BTreeMap<String, JwksUrl> = JWKS, "`ISSUER/.well-known/jwks.json`", see "import_jwks";
    /// Most invocations on AWS at once, over all functions.
    max_concurrency: u32 = aws::CONCURRENCY, "1000";
    /// Sends functions that are not listed to AWS.
    aws = kind::mapping("aws", &aws::block_reference()), "none";
    /// The functions, by the names that callers use.
    functions = kind::mappings("functions.NAME", &FunctionKeys::reference()),
        "required without `aws` and `import`";
    /// Requests that reach a function, for `sidecar-invoker envoy-config`.
    routes = kind::list("routes", &routes::reference()), "none";
}

const LISTEN: Form<Listen> = Form {
    expected: "HOST:PORT or unix:///ABSOLUTE/PATH",
    parse: |text| text.parse().ok(),
    text: "`HOST:PORT`, `unix:///ABSOLUTE/PATH`",
    types: Types::Text,
    pattern: "^(unix:///|.+:[0-9]+$)",
};

const SOCKET_MODE: Form<SocketMode> = Form {
    expected: "three octal digits such as 660",
    parse: |text| text.parse().ok(),
    text: "three octal digits",
    types: Types::Integer,
    pattern: "^[0-7]{3}$",
};

const ADMIN: Form<HostPort> = Form {
    expected: "HOST:PORT such as 127.0.0.1:9091",
    parse: |text| text.parse().ok(),
    text: "`HOST:PORT`",
    types: Types::Text,
    pattern: "^.+:[0-9]+$",
};

const HOSTS: List<Host> = List {
    expected: "a list of host names such as [invoker.example.com]",
    text: "list of host names",
    item: Form {
        expected: "a host name without a port such as invoker.example.com or *.example.com",
        parse: |text| text.parse().ok(),
        text: "host name",
        types: Types::Any,
        pattern: Host::PATTERN,
    },
};

const LOG_FORMAT: Custom<LogFormat> = Custom {
    read: |value| {
        value.parse("text or json", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })
    },
    values: || Values::choice(&["text", "json"]),
};

/// Reads the whole file.
pub(super) fn config(
    root: &Value<'_>,
    file: &str,
    directory: &Path,
    overrides: &ImportOverrides,
) -> Option<Config> {
    let mut mapping = root.mapping("the keys listen, admin, aws and functions")?;
    let keys = FileKeys::of(&mut mapping);
    let listen = keys.listen.or(Listen::Tcp(loopback(9090)));
    if let (Some(Listen::Tcp(address)), Some(mode)) = (&listen, &keys.socket_mode.value) {
        mode.problem(format!(
            "`listen` is {address}, not a Unix socket; remove `socket_mode`"
        ));
    }
    let socket_mode = keys.socket_mode.optional();
    let admin = keys.admin.or(loopback(9091));
    check_addresses(&keys, listen.as_ref(), admin.as_ref());
    let callers = match &keys.callers {
        Some(value) => callers::callers(value, directory).map(Some),
        None => Some(None),
    };
    let console = match &keys.console {
        Some(value) => console::console(value, directory).map(Some),
        None => Some(None),
    };
    let hosts = keys.hosts.or_else(Vec::new);
    let drain_timeout = keys.drain_timeout.or(Duration::from_secs(10));
    let max_concurrency = keys.max_concurrency.or(1_000);
    let options = import_options(&keys, overrides);
    let import = keys.import;
    let imported = import
        .as_ref()
        .zip(options.as_ref())
        .map(|(value, options)| import::import(value, directory, options));
    let is_read = options.is_some() && !matches!(imported, Some(None));
    let (mut imported, undeclared) = imported.flatten().unwrap_or_default();
    imported.is_asked_for = import.is_some();
    for name in &undeclared {
        let parameters = keys.import_parameters.value.as_ref();
        if let Some(parameter) = parameters.and_then(|parameters| parameters.child(name)) {
            parameter.problem(UNDECLARED);
        }
    }
    if let (true, Some(issuers)) = (is_read, &keys.import_jwks.value) {
        check_issuers(issuers, &imported);
    }
    for name in overrides.parameters.keys() {
        match &import {
            None => root.problem(format!(
                "no template is imported; remove `--parameter {name}=…`, or add `import`"
            )),
            Some(import) if undeclared.contains(name) => {
                import.problem(format!("--parameter {name}: {UNDECLARED}"));
            }
            Some(_) => {}
        }
    }
    let listed = keys.functions;
    if listed.is_none() && keys.aws.is_none() && import.is_none() {
        mapping.missing("functions");
    }
    let is_on_aws = keys.aws.is_some();
    let block = match &keys.aws {
        Some(block) => aws::block(block).map(Some),
        None => Some(None),
    };
    let call = block.iter().flatten().next().map(|aws| aws.call.clone());
    let call = call.unwrap_or_default();
    let names = imported.functions.keys().map(ToString::to_string);
    let names = names.collect::<Vec<_>>();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(listed.as_ref().map(Value::names).unwrap_or_default());
    let functions = match (listed, &import) {
        (Some(value), _) => functions(&value, directory, &call, &mut imported),
        (None, Some(import)) => {
            let none = YamlNode::empty(import.line());
            let value = import.with("functions", &none);
            functions(&value, directory, &call, &mut imported)
        }
        (None, None) => is_on_aws.then(BTreeMap::new),
    };
    let log_format = keys.log_format.or(LogFormat::Text);
    let traces = match &keys.traces {
        Some(block) => traces::traces(block).map(Some),
        None => Some(None),
    };
    let routes = match &keys.routes {
        // With `aws` a function need not be listed.
        Some(value) => routes::routes(value, matches!(block, Some(None)).then_some(&names)),
        None => Some(Vec::new()),
    };
    let of_templates = served_routes(&mut imported, functions.as_ref(), is_on_aws);
    let routes = routes.map(|own| routes::with_imported(own, of_templates));
    mapping.finish();
    Some(Config {
        listen: listen?,
        socket_mode: socket_mode?,
        admin: admin?,
        callers: callers?,
        console: console?,
        hosts: hosts?,
        drain_timeout: drain_timeout?,
        max_concurrency: max_concurrency? as usize,
        aws: block?,
        log_format: log_format?,
        traces: traces?,
        functions: functions.filter(|_| is_read)?,
        routes: routes?,
        templates: std::mem::take(&mut imported.files),
        warnings: imported.warnings_by_line(),
        file: file.to_owned(),
    })
}

/// The mistake in the name of a parameter.
const UNDECLARED: &str = "no template has a parameter of this name";

/// Reads the keys that say how templates are read.
fn import_options(keys: &FileKeys<'_>, overrides: &ImportOverrides) -> Option<import::Options> {
    let own = keys.import_stack_name.optional();
    let parameters = keys.import_parameters.or_else(BTreeMap::new);
    let jwks = keys.import_jwks.or_else(BTreeMap::new);
    let only_with_import = [
        ("import_stack_name", &keys.import_stack_name.value),
        ("import_parameters", &keys.import_parameters.value),
        ("import_jwks", &keys.import_jwks.value),
    ];
    for (key, value) in only_with_import {
        if let (None, Some(value)) = (&keys.import, value) {
            value.problem(format!(
                "no template is imported; remove `{key}`, or add `import`"
            ));
        }
    }
    let mut parameters = parameters?;
    parameters.extend(overrides.parameters.clone());
    Some(import::Options {
        stack_name: overrides.stack_name.clone().or(own?),
        parameters,
        jwks: jwks?,
    })
}

/// Reports that both addresses are the same.
fn check_addresses(keys: &FileKeys<'_>, listen: Option<&Listen>, admin: Option<&HostPort>) {
    let (own_listen, own_admin) = (&keys.listen.value, &keys.admin.value);
    if let (Some(Listen::Tcp(listen)), Some(admin)) = (listen, admin)
        && listen == admin
        && listen.port != 0
        && let Some(last) = own_admin.as_ref().or(own_listen.as_ref())
    {
        let place = |value: &Option<Value<'_>>| match value {
            Some(value) => format!("line {}", value.line()),
            None => "by default".to_owned(),
        };
        last.problem(format!(
            "`listen` ({}) and `admin` ({}) are both {listen}; give each a port of its own",
            place(own_listen),
            place(own_admin),
        ));
    }
}

fn loopback(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BackendConfig, InheritEnv};
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("invoker.yaml", text, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_is_not_for_both() {
        let error = |addresses: &str| {
            parse(&format!(
                "{addresses}\nfunctions: {{ f: {{ rie: http://f }} }}"
            ))
            .err()
        };
        let both = "invoker.yaml:2: admin: `listen` (line 1) and `admin` (line 2) are both [::1]:1; give each a port of its own";
        assert_eq!(
            error("listen: '[::1]:1'\nadmin: '[::1]:1'").as_deref(),
            Some(both)
        );
        let one = "invoker.yaml:1: listen: `listen` (line 1) and `admin` (by default) are both 127.0.0.1:9091; give each a port of its own";
        assert_eq!(error("listen: 127.0.0.1:9091").as_deref(), Some(one));
        assert_eq!(error("listen: '[::1]:0'\nadmin: '[::1]:0'"), None);
    }

    #[test]
    fn defaults() {
        let config = parse("functions: { hello: { local: { command: [./hello] } } }").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9090");
        assert_eq!(config.admin.to_string(), "127.0.0.1:9091");
        let hello = config.functions.values().next().unwrap();
        assert_eq!(hello.queue, 100);
        let BackendConfig::Local(local) = &hello.backend else {
            panic!("not local");
        };
        assert_eq!(
            (local.timeout, local.init_timeout),
            (Duration::from_secs(3), Duration::from_secs(10))
        );
        assert_eq!((local.memory_mib, local.concurrency), (128, 10));
        assert_eq!(local.directory, Path::new("/"));
    }

    #[test]
    fn a_unix_socket_may_have_permissions() {
        let config = |listen: &str, mode: &str| {
            parse(&format!(
                "{{ listen: '{listen}', socket_mode: {mode}, functions: {{ f: {{ rie: 'http://f' }} }} }}"
            ))
        };
        let socket = "unix:///run/invoker.sock";
        assert_eq!(
            config(socket, "660").unwrap().socket_mode,
            "660".parse().ok()
        );
        for wrong in ["680", "0o660", "6600", "-60"] {
            let expected = format!(
                "invoker.yaml:1: socket_mode: expected three octal digits such as 660, found \"{wrong}\""
            );
            assert_eq!(config(socket, wrong).unwrap_err(), expected);
        }
        assert_eq!(
            config("127.0.0.1:9090", "660").unwrap_err(),
            "invoker.yaml:1: socket_mode: `listen` is 127.0.0.1:9090, not a Unix socket; remove `socket_mode`"
        );
    }

    #[test]
    fn numbers_and_booleans_are_text_where_text_is_expected() {
        let config = parse(
            "functions: { f: { local: { command: [sleep, 1], env: { A: 1.10, B: true } } } }",
        )
        .unwrap();
        let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
            panic!("not local");
        };
        assert_eq!(local.arguments, ["1"]);
        assert_eq!(local.env.get("A").unwrap(), "1.10");
        assert_eq!(local.env.get("B").unwrap(), "true");
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_line_and_key() {
        let text = "\
listen: 9090
lisen: x
functions:
  hello:
    local:
      comand: [a]
      timeout: abc
      memory: 1
      env: { A: [x], AWS_LAMBDA_RUNTIME_API: x }
      directory: missing
  hello:
    rie: https://x
    timeout: 2h
  both: { rie: http://x, local: { command: [] } }
  none: {}
  late: { local: { command: [a] }, timeout: 1s }
  a.b: { rie: http://x }
";
        let expected = "\
invoker.yaml:1: listen: expected HOST:PORT or unix:///ABSOLUTE/PATH, found \"9090\"
invoker.yaml:2: lisen: unknown key; did you mean `listen`?
invoker.yaml:6: functions.hello.local.comand: unknown key; did you mean `command`?
invoker.yaml:7: functions.hello.local.timeout: expected a duration from 1ms to 15m such as 30s, found \"abc\"
invoker.yaml:8: functions.hello.local.memory: expected a number of MiB from 128 to 10240, found \"1\"
invoker.yaml:9: functions.hello.local.env.A: expected text (\"\" for an empty variable), found a list
invoker.yaml:9: functions.hello.local.env.AWS_LAMBDA_RUNTIME_API: is set by the invoker, for each execution environment; remove it
invoker.yaml:10: functions.hello.local.directory: there is no directory /missing; it is relative to this file's own
invoker.yaml:11: functions.hello: stands twice, first in line 4; remove one
invoker.yaml:12: functions.hello.rie: expected the emulator's URL such as http://billing:8080, found \"https://x\"
invoker.yaml:13: functions.hello.timeout: expected a duration from 1ms to 15m such as 30s, found \"2h\"
invoker.yaml:14: functions.both: `rie` and `local` exclude each other; keep one
invoker.yaml:15: functions.none: does not say what runs the function; add `aws`, `rie` or `local`
invoker.yaml:16: functions.late.timeout: the time limit of this function stands inside `local`; move it there
invoker.yaml:17: functions.a.b: expected a function's name of 1 to 64 letters, digits, - and _, found \"a.b\"";
        let problems = parse(text).unwrap_err();
        for (found, expected) in problems.lines().zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(problems.lines().count(), expected.lines().count());
    }

    #[test]
    fn a_function_without_a_command_is_its_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        let text = "functions: { f: { local: { inherit_env: [A, B] } } }";
        let parse = || Config::parse("invoker.yaml", text, folder.path());
        let expected = format!(
            "invoker.yaml:1: functions.f.local: there is no `command`, and no file `bootstrap` in {}; add one of them",
            folder.path().display()
        );
        assert_eq!(parse().unwrap_err().to_string(), expected);
        std::fs::write(folder.path().join("bootstrap"), "").unwrap();
        let config = parse().unwrap();
        let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
            panic!("not local");
        };
        assert_eq!((local.program.as_str(), local.line), ("./bootstrap", 1));
        assert_eq!(
            local.inherit_env,
            InheritEnv::Names(vec!["A".to_owned(), "B".to_owned()])
        );
    }

    #[test]
    fn an_empty_file_says_what_is_expected() {
        assert_eq!(
            parse("").unwrap_err(),
            "invoker.yaml:1: expected the keys listen, admin, aws and functions, found nothing"
        );
    }
}
