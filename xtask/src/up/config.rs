//! The addresses in the configuration files of the invoker and of Envoy. `up` changes their ports in a
//! copy.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The parts of an invoker configuration that `up` needs.
#[derive(Debug)]
pub(crate) struct Invoker {
    /// `None` for a Unix socket.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    /// The names of the functions. `None` if the file does not have all of them.
    pub(crate) functions: Option<Vec<String>>,
    /// The file has routes, of its own or of a template.
    pub(crate) has_routes: bool,
    /// The file mentions AWS's runtime client for Python, or imports a template.
    pub(crate) runs_awslambdaric: bool,
}

impl Invoker {
    /// Reads `listen`, `admin` and the names of the functions. The invoker checks the rest itself.
    ///
    /// # Errors
    /// The file cannot be read or is not YAML, or `listen` or `admin` is not an address.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let document = read_yaml(path)?;
        let text = |key: &str, default: &'static str| match document.get(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => bail!(
                "{}: {key}: expected an address such as {default}, found {other}",
                crate::display(path)
            ),
        };
        let address = |key: &str, text: &str| {
            // A host name such as localhost is allowed too.
            let addresses = text.to_socket_addrs().ok();
            addresses.and_then(|mut all| all.next()).with_context(|| {
                format!(
                    "{}: {key}: expected an address such as 127.0.0.1:9090, found `{text}`",
                    crate::display(path)
                )
            })
        };
        let listen = text("listen", "127.0.0.1:9090")?;
        let admin = text("admin", "127.0.0.1:9091")?;
        Ok(Self {
            listen: if listen.starts_with("unix:") {
                None
            } else {
                Some(address("listen", &listen)?)
            },
            admin: address("admin", &admin)?,
            // An imported template may have more functions.
            functions: match (document.get("functions"), document.get("import")) {
                (Some(Value::Object(functions)), None) => Some(functions.keys().cloned().collect()),
                _ => None,
            },
            has_routes: ["routes", "import"]
                .iter()
                .any(|key| document.get(*key).is_some()),
            runs_awslambdaric: document.to_string().contains("awslambdaric")
                || document.get("import").is_some(),
        })
    }
}

/// An Envoy configuration.
#[derive(Debug)]
pub(crate) struct Envoy {
    path: PathBuf,
    pub(crate) document: Value,
    /// The document differs from its file.
    changed: bool,
}

impl Envoy {
    /// Reads the file. Envoy checks the content itself.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML (or JSON).
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            document: read_yaml(path)?,
            changed: false,
        })
    }

    /// Takes a configuration that was made from the file at `path`.
    ///
    /// # Errors
    /// The text is not YAML.
    pub(crate) fn generated(path: &Path, text: &str) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            document: serde_saphyr::from_str(text)?,
            changed: true,
        })
    }

    /// Returns the address of the admin interface.
    ///
    /// # Errors
    /// There is no admin interface, so `up` could not find out when Envoy is ready.
    pub(crate) fn admin(&mut self) -> Result<SocketAddr> {
        match self.admin_address().and_then(|address| socket(address)) {
            Some(address) => Ok(address),
            None => bail!(
                "{}: admin.address.socket_address: missing, but `up` asks there whether Envoy is \
                 ready; add `admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, \
                 port_value: 9901 }} }} }}`",
                crate::display(&self.path)
            ),
        }
    }

    /// Returns the address of the first listener, if the file has a listener.
    pub(crate) fn listener(&mut self) -> Option<SocketAddr> {
        self.listener_address().and_then(|address| socket(address))
    }

    /// Moves the first listener to `port`.
    ///
    /// # Errors
    /// The file has no listener.
    pub(crate) fn move_listener(&mut self, port: u16) -> Result<()> {
        let moved = self
            .listener_address()
            .is_some_and(|address| set_port(address, port));
        self.moved(moved, "--port", "no static_resources.listeners[0].address")
    }

    /// Moves the admin interface to `port`.
    ///
    /// # Errors
    /// The file has no admin interface.
    pub(crate) fn move_admin(&mut self, port: u16) -> Result<()> {
        let moved = self
            .admin_address()
            .is_some_and(|address| set_port(address, port));
        self.moved(moved, "--envoy-admin-port", "no admin.address")
    }

    /// Moves each endpoint with the address `from` to `port`.
    ///
    /// # Errors
    /// The file has no such endpoint, so Envoy would not find the invoker.
    pub(crate) fn move_endpoints(&mut self, from: SocketAddr, port: u16) -> Result<()> {
        let mut moved = false;
        if let Some(clusters) = self
            .document
            .get_mut("static_resources")
            .and_then(|resources| resources.get_mut("clusters"))
        {
            each_address(clusters, &mut |address| {
                if socket(address) == Some(from) {
                    moved |= set_port(address, port);
                }
            });
        }
        self.moved(
            moved,
            "--invoker-port",
            &format!("no endpoint with the invoker's address {from}"),
        )
    }

    /// Returns the file to start Envoy with: the file that was read, or a copy in `folder` if a port has
    /// changed. The copy's name has the port of the listener, since several `up` may run.
    ///
    /// # Errors
    /// The copy cannot be written.
    pub(crate) fn file(&mut self, folder: &Path) -> Result<PathBuf> {
        if !self.changed {
            return Ok(self.path.clone());
        }
        let port = self.listener().map_or(0, |listener| listener.port());
        let copy = folder.join(format!("envoy-{port}.json"));
        let text = serde_json::to_vec_pretty(&self.document)?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&copy, text))
            .with_context(|| format!("cannot write {}", crate::display(&copy)))?;
        Ok(copy)
    }

    fn moved(&mut self, moved: bool, option: &str, lacking: &str) -> Result<()> {
        if !moved {
            bail!(
                "{option}: {} has {lacking}, so its port cannot be changed",
                crate::display(&self.path)
            );
        }
        self.changed = true;
        Ok(())
    }

    fn admin_address(&mut self) -> Option<&mut Value> {
        self.document.pointer_mut("/admin/address/socket_address")
    }

    fn listener_address(&mut self) -> Option<&mut Value> {
        self.document
            .pointer_mut("/static_resources/listeners/0/address/socket_address")
    }
}

pub(crate) fn socket(address: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = address.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(address.get("port_value")?.as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}

fn set_port(address: &mut Value, port: u16) -> bool {
    match address.get_mut("port_value") {
        Some(value) => {
            *value = port.into();
            true
        }
        None => false,
    }
}

/// Calls `change` with each `socket_address` below `value`.
fn each_address(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_address(item, change)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if key == "socket_address" {
                    change(field);
                } else {
                    each_address(field, change);
                }
            }
        }
        _ => {}
    }
}

/// Reads a YAML (or JSON) file that holds one mapping.
fn read_yaml(path: &Path) -> Result<Value> {
    let file = crate::display(path);
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    let document: Value = match serde_saphyr::from_str(&text) {
        Ok(document) => document,
        Err(error) => bail!("{file} is not valid YAML: {}", error.without_snippet()),
    };
    if !document.is_object() {
        bail!("{file}: expected a YAML mapping at the top");
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVOY: &str = "
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
static_resources:
  listeners:
  - address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
  clusters:
  - load_assignment:
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9090 } } }
        - endpoint: { address: { socket_address: { address: 127.0.0.2, port_value: 9090 } } }
";

    fn envoy(text: &str) -> Envoy {
        Envoy {
            path: "envoy.yaml".into(),
            document: serde_saphyr::from_str(text).unwrap(),
            changed: false,
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn options_change_the_ports_and_nothing_else() {
        let mut config = envoy(ENVOY);
        config.move_listener(1).unwrap();
        config.move_admin(2).unwrap();
        config.move_endpoints(address("127.0.0.1:9090"), 3).unwrap();
        let expected = ENVOY
            .replace("8080", "1")
            .replace("9901", "2")
            .replace("127.0.0.1, port_value: 9090", "127.0.0.1, port_value: 3");
        assert_eq!(config.document, envoy(&expected).document);
        assert_eq!(config.listener(), Some(address("0.0.0.0:1")));
        assert_eq!(config.admin().unwrap(), address("127.0.0.1:2"));
    }

    #[test]
    fn a_file_without_changes_is_used_directly() {
        let mut config = envoy(ENVOY);
        let folder = Path::new("/nowhere");
        assert_eq!(config.file(folder).unwrap(), Path::new("envoy.yaml"));
    }

    #[test]
    fn an_option_for_an_address_that_the_file_lacks_is_refused() {
        let mut config = envoy("static_resources: { clusters: [] }");
        let errors = [
            config.move_listener(1).unwrap_err(),
            config.move_admin(2).unwrap_err(),
            config
                .move_endpoints(address("127.0.0.1:9090"), 3)
                .unwrap_err(),
            config.admin().unwrap_err(),
        ];
        let starts = [
            "--port: ",
            "--envoy-admin-port: ",
            "--invoker-port: ",
            "envoy.yaml: admin",
        ];
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
}
