//! The reasons why parts of a template have no counterpart here.

use std::borrow::Cow;
use std::path::PathBuf;

use lambda_api::FunctionName;
use lambda_filter_core::config::ValueError;

use super::node::Unknown;
use crate::config::model::MAX_LAYERS;

/// A part of a template that is left out, or has no effect.
///
/// Its message follows the name of the part: `Orders: it has no Path`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Omission {
    /// A property is missing.
    #[error("{part} has no {property}")]
    Missing {
        part: Cow<'static, str>,
        property: &'static str,
    },
    /// A value is known only after the deployment.
    #[error("{part} needs {needs}, which is not known here")]
    NeedsDeployment { part: String, needs: String },
    /// A value refers to something outside the template, or comes from there.
    #[error("{0} is not known here")]
    NotKnown(String),
    /// A resource that should be an API is none.
    #[error("it is no API")]
    NoApi,
    /// Parts of this type have no counterpart.
    #[error("{parts} of the type {kind} are not served here")]
    Type { parts: &'static str, kind: String },
    /// An event of this type comes from no client.
    #[error("events of the type {0} are not delivered here; HttpApi and Api are")]
    Event(String),
    /// A value has not the form of its kind.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A method is none of HTTP.
    #[error("{0:?} is no method")]
    Method(String),
    /// API Gateway has no such payload format.
    #[error("there is no payload format {0}")]
    PayloadFormat(String),
    /// A name is none of an alias.
    #[error("{0:?} is not a valid alias name")]
    Alias(String),
    /// An integration leads to something else.
    #[error("it does not lead to a function")]
    NoFunction,
    /// A route refers to an integration that is not in the template.
    #[error("there is no integration {0}")]
    NoIntegration(String),
    /// A route key is neither `METHOD PATH` nor `$default`.
    #[error("its RouteKey is {0:?}, which is not served here")]
    RouteKey(String),
    /// The definition of an API lacks a route of an event.
    #[error("{route} is not in the definition of {api}, which counts; it is left out")]
    NotInDefinition { route: String, api: String },
    /// A rule of a load balancer has no priority that is known.
    #[error("its Priority is no number from 1 to 50000 that is known here")]
    Priority,
    /// A condition of a rule looks at another part of the request.
    #[error("conditions on {0} are not known here")]
    Condition(String),
    /// A condition of a rule compares with nothing.
    #[error("a condition has no Values that are known here")]
    NoValues,
    /// A condition of a rule compares several parameters of a query, or none.
    #[error("a condition on the query has other than one value")]
    QueryValues,
    /// A condition of a rule takes parameters of several names.
    #[error("a condition on the query has no fixed Key")]
    QueryKey,
    /// An authorizer checks something else than tokens.
    #[error("only tokens are checked here")]
    Authorizer,
    /// The issuer of tokens is no URL.
    #[error("its issuer {0:?} is no URL")]
    Issuer(String),
    /// The source of tokens is none that Envoy reads.
    #[error("its IdentitySource {0:?} is neither a header nor a parameter")]
    IdentitySource(String),
    /// A managed runtime has no command here.
    #[error("the runtime {0} is not known here")]
    Runtime(String),
    /// A function is an image.
    #[error(
        "a function in an image is not run here; run the image, and give its address in functions.{0}.rie"
    )]
    Image(FunctionName),
    /// A function's code stands in the template.
    #[error("code in the template itself is not run here")]
    InlineCode,
    /// A property names code in another place.
    #[error("its code is not a directory on this machine ({0})")]
    RemoteCode(String),
    /// A property names an archive.
    #[error("{} is a file; unpack it, and name the directory", .0.display())]
    PackedCode(PathBuf),
    /// A property names a directory that does not exist.
    #[error("there is no directory {}", .0.display())]
    NoDirectory(PathBuf),
    /// A layer is none of the template.
    #[error("it is no layer of this template")]
    NoLayer,
    /// A function has more layers than AWS takes.
    #[error("a function has at most {MAX_LAYERS} layers")]
    LayerLimit,
    /// The template of a stack is somewhere else.
    #[error("its template is not a file on this machine ({0})")]
    RemoteTemplate(&'static str),
}

impl Omission {
    /// Returns the reason for a part of the template that lacks a property.
    pub(super) fn missing(part: impl Into<Cow<'static, str>>, property: &'static str) -> Self {
        Self::Missing {
            part: part.into(),
            property,
        }
    }

    /// Returns the reason for a part of the template whose value is known only after the deployment.
    pub(super) fn needs(part: &str, unknown: &Unknown) -> Self {
        Self::NeedsDeployment {
            part: part.to_owned(),
            needs: unknown.needs.clone(),
        }
    }

    /// Returns the reason for a part of the template that has no counterpart by its type.
    pub(super) fn of_type(parts: &'static str, kind: Option<&str>) -> Self {
        Self::Type {
            parts,
            kind: kind.unwrap_or("unknown").to_owned(),
        }
    }
}

/// A template that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {error}; the path is relative to this file's own")]
    Read { file: String, error: std::io::Error },
    /// The file is not YAML.
    #[error("{file}:{line}: not valid YAML: {message}")]
    Yaml {
        file: String,
        line: usize,
        message: String,
    },
    /// The file is something else.
    #[error("{0} is no template of AWS SAM or CloudFormation: it has no `Resources`")]
    NoTemplate(String),
    /// The templates are too large together.
    #[error("{0} is too much, together with the templates before it; import fewer")]
    TooLarge(String),
    /// A stack would contain itself.
    #[error("{0} contains this stack, so that it would contain itself; name another template")]
    Circle(String),
    /// There are too many stacks.
    #[error("there are more than {0} stacks; import fewer")]
    StackLimit(usize),
    /// A path has no normal form.
    #[error(transparent)]
    Path(std::io::Error),
}
