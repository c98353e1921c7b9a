//! The project that `up` serves: a file of the user, or a folder with one function.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use wildmatch::WildMatch;

use super::debug::DebugError;
use super::folder::{self, FolderError};
use super::mesh::Mesh;
use super::python;
use crate::config::yaml::tree::{self, Kind as YamlKind, YamlNode};
use crate::config::{
    self, BackendConfig, Config, ConfigError, Host, ImportOverrides, Listen, Route,
};
use crate::envoy_config::{EnvoyConfigError, Filter, Gateway};
use crate::lrp::Lrp;
use crate::util::normal_path;
use lambda_api::FunctionName;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    kind: Kind,
    path: PathBuf,
}

/// The kinds of projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An `invoker.yaml`.
    Invoker,
    /// A template of AWS SAM or CloudFormation.
    Template,
    /// An `lrp.yaml`.
    Lrp,
    /// A folder with the code of one function.
    Folder,
}

/// The error if a project cannot be served. The text has the cure.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no project, or more than one.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A function cannot be debugged.
    #[error(transparent)]
    Debug(#[from] DebugError),
    /// The file has no function that a request could reach.
    #[error(transparent)]
    EnvoyConfig(#[from] EnvoyConfigError),
}

impl Project {
    /// Returns the project in the file or folder `named`, or in the current folder.
    ///
    /// # Errors
    /// Returns an error if there is no project, or more than one.
    pub fn find(named: Option<&Path>) -> Result<Self, ProjectError> {
        let path = named.unwrap_or(Path::new("."));
        let (path, kind) = match path.is_dir() {
            false => (path.to_owned(), kind_of_file(path)?),
            true => match folder::file(path)? {
                Some(file) => (file.clone(), kind_of_file(&file)?),
                None => (path.to_owned(), Kind::Folder),
            },
        };
        Ok(Self { kind, path })
    }

    /// Returns the path of the file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the project. `change` is called with the functions before the routes to them are made.
    ///
    /// # Errors
    /// Returns an error with all mistakes in the file.
    pub fn load(
        &self,
        filter: &Filter,
        overrides: &ImportOverrides,
        change: impl FnOnce(&mut Config) -> Result<(), ProjectError>,
    ) -> Result<Mesh, ProjectError> {
        let mut config = match self.kind {
            Kind::Lrp => {
                let mut mesh = lrp(&self.path, filter)?;
                change(&mut mesh.config)?;
                return Ok(mesh);
            }
            Kind::Invoker => Config::load_with(&self.path, overrides)?,
            Kind::Template => template(&self.path, overrides)?,
            Kind::Folder => {
                let function = folder::function(&self.path)?;
                let text = json!({
                    "functions": { function.name.clone(): { "local": function.keys } },
                    "routes": [{ "function": function.name }],
                });
                let file = self.path.display().to_string();
                Config::parse(&file, &text.to_string(), &self.path)?
            }
        };
        python::choose(&mut config);
        let by_name = routes_by_name(&config);
        config.warnings.extend(without_url(&config, &by_name));
        config.routes.extend(by_name);
        let ignored = self.ignored(&config);
        for function in config.functions.values_mut() {
            if let BackendConfig::Local(local) = &mut function.backend
                && local.watch.is_none()
            {
                local.watch = Some(vec![local.directory.clone()]);
                local.watch_ignore.extend(ignored.iter().cloned());
            }
        }
        change(&mut config)?;
        let gateway = Gateway::of_config(&config, filter.clone())?;
        Ok(Mesh { config, gateway })
    }

    /// Returns the files whose changes change the project. `config` was read from it.
    #[must_use]
    pub fn files(&self, config: &Config) -> Vec<PathBuf> {
        let own = (self.kind != Kind::Folder).then(|| self.path.clone());
        let env_files = config
            .functions
            .values()
            .flat_map(|function| match &function.backend {
                BackendConfig::Local(local) => local.env_files.clone(),
                _ => Vec::new(),
            });
        let files = own.into_iter().chain(config.templates.clone());
        files.chain(env_files).collect()
    }

    /// Returns the files whose changes have no effect on the code of functions: those of the project itself, and
    /// that into which the program's output goes.
    fn ignored(&self, config: &Config) -> Vec<WildMatch> {
        let outputs = [1, 2].map(|number| std::fs::read_link(format!("/proc/self/fd/{number}")));
        let files = self.files(config).into_iter();
        let files = files.chain(outputs.into_iter().flatten());
        // Whole paths, because a function may have a file of the same name.
        let paths = files.filter_map(|file| normal_path(&file).ok());
        let paths = paths.map(|path| WildMatch::new(&path.to_string_lossy()));
        paths.collect()
    }

    /// Returns the files that may have a mistake: those of the project, and others of its folder that a
    /// configuration may name.
    #[must_use]
    pub fn candidates(&self) -> Vec<PathBuf> {
        let folder = match self.path.is_dir() {
            true => &self.path,
            false => self.path.parent().unwrap_or(Path::new(".")),
        };
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let is_text = |file: &PathBuf| {
            let end = file.extension().unwrap_or_default();
            ["yaml", "yml", "json"].iter().any(|known| end == *known)
        };
        files.filter(is_text).collect()
    }
}

/// Returns the kind of a file by its keys. A file that is no YAML is of the kind that its name says.
fn kind_of_file(path: &Path) -> Result<Kind, ConfigError> {
    let text = config::read_text(path, "as the argument, or its folder")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let root = tree::parse_template(&text).ok();
    let has = |key: &str| root.as_ref().is_some_and(|root| child(root, key).is_some());
    let is_list = |key: &str| {
        let value = root.as_ref().and_then(|root| child(root, key));
        matches!(value.map(|value| &value.kind), Some(YamlKind::List(_)))
    };
    let is_template = has("Resources")
        || has("AWSTemplateFormatVersion")
        || name.starts_with("template.")
        || name.contains(".template.");
    let is_lrp = is_list("local")
        || is_list("aws")
        || has("internal_route_prefix")
        || name.starts_with("lrp.");
    Ok(match (is_template, is_lrp) {
        (true, _) => Kind::Template,
        (_, true) => Kind::Lrp,
        _ => Kind::Invoker,
    })
}

fn child<'n>(node: &'n YamlNode, key: &str) -> Option<&'n YamlNode> {
    let YamlKind::Mapping(entries) = &node.kind else {
        return None;
    };
    let entry = entries.iter().find(|(name, _)| name.text == key);
    entry.map(|(_, value)| value)
}

fn lrp(path: &Path, filter: &Filter) -> Result<Mesh, ConfigError> {
    let lrp = Lrp::load(path)?;
    let mut config = lrp.invoker()?;
    config.warnings.extend(lrp.warnings());
    let gateway = lrp.gateway(filter.clone(), config.listen.clone(), config.listen.clone());
    Ok(Mesh { config, gateway })
}

/// Reads a template, as an `invoker.yaml` beside it would import it.
fn template(path: &Path, overrides: &ImportOverrides) -> Result<Config, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let text = json!({ "import": file }).to_string();
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let name = path.display().to_string();
    let read = Config::parse_with(&name, &text, folder, overrides);
    read.map_err(|mut error| {
        // The line and the key would be those of a file that the user has not written.
        for problem in &mut error.problems {
            problem.line = None;
            problem.key.clear();
        }
        error
    })
}

/// The keys of a route that say which events its function takes, and how its answers are read.
const FORMAT_KEYS: [&str; 3] = ["payload", "template", "response"];

/// Returns a route for each function by its name: `orders.localhost`. A host with routes of the file's own is
/// left to them.
fn routes_by_name(config: &Config) -> Vec<Route> {
    let route = |name: &FunctionName| {
        let host: Host = format!("{name}.localhost").parse().ok()?;
        if config.routes.iter().any(|route| route.host == host) {
            return None;
        }
        let own = config.routes.iter().find(|route| route.function == *name);
        let mut route = Route::to(name.clone(), 0);
        if let Some(own) = own {
            let keys = own.lambda.iter();
            let keys = keys.filter(|(key, _)| FORMAT_KEYS.contains(&key.as_str()));
            let keys = keys.map(|(key, value)| (key.clone(), value.clone()));
            route.lambda.extend(keys);
        }
        // A function that asks for a token on one way has no other way without.
        let mut own = config.routes.iter().filter(|route| route.function == *name);
        let authorizer = own.find_map(|route| route.authorizer.clone());
        Some(Route {
            host,
            authorizer,
            ..route
        })
    };
    let routes = config.functions.keys().filter_map(route);
    // Names differ in their case, hosts do not.
    routes.fold(Vec::new(), |mut routes: Vec<Route>, route| {
        if !routes.iter().any(|other| other.host == route.host) {
            routes.push(route);
        }
        routes
    })
}

/// Returns a sentence for each function whose name gives it no URL.
fn without_url(config: &Config, by_name: &[Route]) -> Vec<String> {
    let has_route = |name: &FunctionName| {
        let mut routes = config.routes.iter().chain(by_name);
        routes.any(|route| route.function == *name)
    };
    let names = config.functions.keys().filter(|name| !has_route(name));
    let warning = |name: &FunctionName| {
        format!(
            "{}: {name} has no URL, because {name}.localhost is no host name or that of another function; give it a route",
            config.file
        )
    };
    names.map(warning).collect()
}

/// Returns the address at which Envoy listens: that of the project, on another port or for other machines if
/// the options say so.
#[must_use]
pub fn address(gateway: SocketAddr, port: Option<u16>, is_public: bool) -> SocketAddr {
    let ip = match is_public {
        true => std::net::Ipv4Addr::UNSPECIFIED.into(),
        false => gateway.ip(),
    };
    SocketAddr::new(ip, port.unwrap_or(gateway.port()))
}

/// Returns the Invoke API's address with another port.
#[must_use]
pub fn with_port(listen: &Listen, port: u16) -> Listen {
    match listen {
        Listen::Tcp(address) => {
            let mut address = address.clone();
            address.port = port;
            Listen::Tcp(address)
        }
        Listen::Unix(_) => listen.clone(),
    }
}
