//! Which keys `invoker.yaml` has, their types and defaults.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

mod aws;
mod functions;
mod local;

use self::functions::functions;
use super::model::{Config, LogFormat};
use super::yaml::decode::{Value, duration, or_default};
use super::yaml::scalar::{HostPort, Listen};
use super::yaml::tree::YamlNode;
use super::{import, routes};

/// Reads the whole file.
pub(super) fn config(root: &Value<'_>, file: &str, directory: &Path) -> Option<Config> {
    let mut keys = root.mapping("the keys listen, admin, aws and functions")?;
    let (own_listen, own_admin) = (keys.optional("listen"), keys.optional("admin"));
    let lines = [&own_listen, &own_admin].map(|value| value.as_ref().map(Value::line));
    let last = own_admin.clone().or_else(|| own_listen.clone());
    let listen = or_default(
        own_listen,
        || Listen::Tcp(loopback(9090)),
        |value| {
            value.parse("HOST:PORT or unix:///ABSOLUTE/PATH", |text| {
                text.parse().ok()
            })
        },
    );
    let socket_mode = or_default(
        keys.optional("socket_mode"),
        || None,
        |value| {
            if let Some(Listen::Tcp(address)) = &listen {
                value.problem(format!(
                    "`listen` is {address}, not a Unix socket; remove `socket_mode`"
                ));
            }
            let mode = value.parse("three octal digits such as 660", |text| text.parse().ok());
            mode.map(Some)
        },
    );
    let admin = or_default(
        own_admin,
        || loopback(9091),
        |value| value.parse("HOST:PORT such as 127.0.0.1:9091", |text| text.parse().ok()),
    );
    if let (Some(Listen::Tcp(one)), Some(other), Some(last)) = (&listen, &admin, last)
        && one == other
        && one.port != 0
    {
        let [listen, admin] =
            lines.map(|line| line.map_or("by default".to_owned(), |line| format!("line {line}")));
        last.problem(format!(
            "`listen` ({listen}) and `admin` ({admin}) are both {one}; give each a port of its own"
        ));
    }
    let drain_timeout = duration(keys.optional("drain_timeout"), Duration::from_secs(10));
    let max_concurrency = or_default(
        keys.optional("max_concurrency"),
        || 1_000,
        |value| aws::concurrency(&value),
    );
    let block = keys.optional("aws");
    let import = keys.optional("import");
    let imported = import
        .as_ref()
        .map(|value| import::import(value, directory));
    let is_read = !matches!(imported, Some(None));
    let mut imported = imported.flatten().unwrap_or_default();
    imported.is_asked_for = import.is_some();
    let listed = match (&block, &import) {
        (None, None) => keys.required("functions"),
        _ => keys.optional("functions"),
    };
    let is_on_aws = block.is_some();
    let block = or_default(block, || None, |value| aws::block(&value).map(Some));
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
    let log_format = or_default(
        keys.optional("log_format"),
        || LogFormat::Text,
        |value| {
            value.parse("text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })
        },
    );
    let routes = or_default(keys.optional("routes"), Vec::new, |value| {
        // With `aws` a function need not be listed.
        routes::routes(&value, matches!(block, Some(None)).then_some(&names))
    });
    let routes = routes.map(|own| routes::with_imported(own, imported.routes));
    keys.finish();
    Some(Config {
        listen: listen?,
        socket_mode: socket_mode?,
        admin: admin?,
        drain_timeout: drain_timeout?,
        max_concurrency: max_concurrency?,
        aws: block?,
        log_format: log_format?,
        functions: functions.filter(|_| is_read)?,
        routes: routes?,
        warnings: imported.warnings,
        file: file.to_owned(),
    })
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
