//! The resources of a template: which there are, and what their keys say once functions have values.

use std::collections::BTreeSet;

use super::intrinsic::Scope;
use super::node::{Kind, Node};
use super::omission::Omission;
use super::template::{Template, child, entries, scalar};
use crate::config::versions;
use crate::config::yaml::tree::{Key, YamlNode};
use lambda_api::{FunctionName, FunctionReference};

/// The function of AWS SAM.
const SAM_FUNCTION: &str = "AWS::Serverless::Function";
/// The API of AWS SAM whose events have the type `Api`.
pub(super) const REST_API: &str = "AWS::Serverless::Api";
/// The API of AWS SAM whose events have the type `HttpApi`.
pub(super) const HTTP_API: &str = "AWS::Serverless::HttpApi";

/// The types of nested stacks, with the property that names the template.
pub(super) const NESTED: [(&str, &str); 2] = [
    ("AWS::CloudFormation::Stack", "TemplateURL"),
    ("AWS::Serverless::Application", "Location"),
];

/// The types of CloudFormation's own resources that `cloudformation` reads.
const OF_CLOUDFORMATION: [&str; 11] = [
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Resource",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Lambda::Url",
];

const ALIAS: &str = "AWS::Lambda::Alias";

/// The types of versions and aliases of functions.
const VERSIONS: [&str; 2] = [ALIAS, "AWS::Lambda::Version"];

/// The attributes with the ARNs of versions and aliases.
const FUNCTION_ARN: &str = "FunctionArn";
const ALIAS_ARN: &str = "AliasArn";

/// The types that `load_balancer` reads.
const OF_LOAD_BALANCER: [&str; 4] = [
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
];

/// A resource that the template makes.
pub(super) struct Resource {
    /// The logical id.
    pub(super) id: String,
    /// The line of the logical id.
    pub(super) line: usize,
    /// The `Type`.
    pub(super) kind: String,
    /// The resource as it stands in the template.
    pub(super) node: Node,
    /// `Properties`, completed with those of `Globals`.
    pub(super) properties: Node,
}

impl Resource {
    /// Returns whether the resource is a function.
    pub(super) fn is_function(&self) -> bool {
        is_function(&self.kind)
    }

    /// Returns whether the resource belongs to an API of CloudFormation's own resources.
    pub(super) fn is_of_cloudformation(&self) -> bool {
        OF_CLOUDFORMATION.contains(&self.kind.as_str())
    }

    /// Returns whether the resource is a layer.
    pub(super) fn is_layer(&self) -> bool {
        ["AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion"].contains(&self.kind.as_str())
    }

    /// Returns whether the resource is a stack.
    fn is_stack(&self) -> bool {
        NESTED.iter().any(|(kind, _)| self.kind == *kind)
    }

    /// Returns whether the resource belongs to a load balancer.
    pub(super) fn is_of_load_balancer(&self) -> bool {
        OF_LOAD_BALANCER.contains(&self.kind.as_str())
    }

    /// Takes the keys of a version or an alias, see [`name_versions`].
    fn take_version(&self) {
        if VERSIONS.contains(&self.kind.as_str()) {
            for key in ["FunctionName", "FunctionVersion", "Name"] {
                self.properties.get(key);
            }
            self.node.get("Condition");
        }
    }

    /// Takes the keys of a stack, which its loader has read.
    fn take_stack(&self) {
        if self.is_stack() {
            for key in ["Parameters", "TemplateURL", "Location"] {
                self.properties.get(key).into_iter().for_each(Node::discard);
            }
            self.node.get("Condition");
        }
    }

    /// Returns whether a reader takes the resource's keys.
    pub(super) fn is_read(&self) -> bool {
        let is_sam_api = [REST_API, HTTP_API].contains(&self.kind.as_str());
        self.is_function()
            || self.is_layer()
            || self.is_stack()
            || is_sam_api
            || self.is_of_load_balancer()
            || VERSIONS.contains(&self.kind.as_str())
            || self.is_of_cloudformation()
    }
}

/// The resources, and the properties that `Globals` gives to each type of AWS SAM.
pub(super) struct Resources {
    pub(super) all: Vec<Resource>,
    globals: Node,
}

impl Resources {
    /// Evaluates the resources that are made.
    pub(super) fn read(scope: &Scope, root: &YamlNode, made: &[&(Key, YamlNode)]) -> Self {
        let globals = child(root, "Globals");
        let globals = globals.map_or_else(|| Node::empty(1), |node| scope.evaluate(node));
        let resource = |(key, resource): &&(Key, YamlNode)| {
            let node = scope.evaluate(resource);
            let kind = node.get("Type").and_then(|kind| kind.text().ok());
            let kind = kind.unwrap_or_default().to_owned();
            let empty = Node::empty(node.line);
            let own = node.get("Properties").unwrap_or(&empty);
            let properties = match kind.strip_prefix("AWS::Serverless::") {
                Some(section) => Node::merged(&globals_for(&globals, section, &node), own),
                None => own.clone(),
            };
            let resource = Resource {
                id: key.text.clone(),
                line: key.line,
                kind,
                properties,
                node,
            };
            resource.take_stack();
            resource.take_version();
            resource
        };
        Self {
            all: made.iter().map(resource).collect(),
            globals,
        }
    }

    /// Returns the properties that `Globals` gives to a type: `Api`, `HttpApi`, `Function`.
    pub(super) fn global(&self, section: &str) -> Node {
        self.globals
            .get(section)
            .cloned()
            .unwrap_or_else(|| Node::empty(1))
    }

    /// Returns the resources of a type.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Resource> {
        self.all
            .iter()
            .filter(move |resource| resource.kind == kind)
    }

    /// Returns the trees in which keys may have been left unread, each with its name for messages and
    /// the part of the paths that is not worth a mention.
    pub(super) fn trees(&self) -> impl Iterator<Item = (&str, &Node, &str)> {
        let resources = self.all.iter();
        resources
            .map(|resource| (resource.id.as_str(), &resource.node, "Properties."))
            .chain([("Globals", &self.globals, "")])
    }
}

/// Returns the properties of `Globals` that apply to a resource, see `IgnoreGlobals`.
fn globals_for(globals: &Node, section: &str, resource: &Node) -> Node {
    let Some(global) = globals.get(section) else {
        return Node::empty(1);
    };
    let mut global = global.clone();
    if let Some(ignored) = resource.get("IgnoreGlobals") {
        let all = ignored.text() == Ok("*");
        let ignored: Vec<_> = ignored
            .items()
            .iter()
            .filter_map(|item| item.text().ok())
            .collect();
        if let Kind::Mapping(entries) = &mut global.kind {
            entries.retain(|entry| !all && !ignored.contains(&entry.name.as_str()));
        }
    }
    global
}

fn is_function(kind: &str) -> bool {
    [SAM_FUNCTION, "AWS::Lambda::Function"].contains(&kind)
}

/// Returns whether the resource's condition is true.
pub(super) fn is_made(
    template: &mut Template<'_>,
    scope: &Scope,
    key: &Key,
    resource: &YamlNode,
) -> bool {
    let condition = entries(resource)
        .iter()
        .find(|(key, _)| key.text == "Condition");
    let Some((line, condition)) = condition.and_then(|(key, node)| Some((key.line, scalar(node)?)))
    else {
        return true;
    };
    match scope.condition(condition) {
        Ok(true) => true,
        Ok(false) => {
            let message = format!(
                "{}: the condition {condition} is false; it is left out",
                key.text
            );
            template.warn(line, message);
            false
        }
        Err(unknown) => {
            let message = format!(
                "{}: Condition: {} is not known here; the resource is there in any case",
                key.text, unknown.needs
            );
            template.warn(line, message);
            true
        }
    }
}

/// Gives each function its name, to which any resource may refer. A function without a name of its own in a
/// nested stack is called after the stack too if its logical id is in `taken`.
pub(super) fn name_functions(
    template: &mut Template<'_>,
    scope: &mut Scope,
    taken: &mut BTreeSet<FunctionName>,
    made: &[&(Key, YamlNode)],
) {
    for (key, resource) in made {
        let kind = child(resource, "Type").and_then(scalar).unwrap_or_default();
        if kind == "AWS::ApiGatewayV2::Integration" {
            scope.internal.insert(key.text.clone());
        }
        if !is_function(kind) {
            continue;
        }
        let id = &key.text;
        let given = child(resource, "Properties");
        let given = given.and_then(|properties| child(properties, "FunctionName"));
        let name = match given.map(|given| (given, scope.evaluate(given))) {
            None => unnamed(template, scope, taken, key),
            Some((_, node)) if matches!(node.kind, Kind::Absent) => {
                unnamed(template, scope, taken, key)
            }
            Some((given, node)) => match node.text() {
                Ok(name) => name.to_owned(),
                Err(unknown) => {
                    let message = format!(
                        "{id}: its FunctionName needs {}, which is not known here; it is called {id}",
                        unknown.needs
                    );
                    template.warn(given.line, message);
                    id.clone()
                }
            },
        };
        match name.parse::<FunctionName>() {
            Ok(name) => {
                taken.insert(name.clone());
                scope.functions.insert(id.clone(), name);
            }
            Err(error) => template.warn(key.line, format!("{id}: {error}; it is left out")),
        }
    }
}

/// Gives versions and aliases of functions their ARNs. A version has that of its function, because its number is
/// known only once it is published. The alias and the version that AWS SAM adds to the function `F` are `F.Alias`
/// and `F.Version`.
pub(super) fn name_versions(
    template: &mut Template<'_>,
    scope: &mut Scope,
    root: &YamlNode,
    made: &[&(Key, YamlNode)],
) {
    let global = child(root, "Globals").and_then(|globals| child(globals, "Function"));
    for (key, resource) in made {
        let kind = child(resource, "Type").and_then(scalar).unwrap_or_default();
        let id = &key.text;
        let own = |name: &str| child(child(resource, "Properties")?, name);
        if kind == SAM_FUNCTION {
            let alias = own("AutoPublishAlias").or_else(|| child(global?, "AutoPublishAlias"));
            if let Some(function) = scope.functions.get(id)
                && let Some(alias) = alias.and_then(|alias| scope.text(alias).ok())
            {
                let version = scope.arn(function, None);
                let alias = versions::alias(&alias).map(|alias| scope.arn(function, Some(&alias)));
                scope.add_version(format!("{id}.Version"), FUNCTION_ARN, version);
                if let Some(alias) = alias {
                    scope.add_version(format!("{id}.Alias"), ALIAS_ARN, alias);
                }
            }
        } else if VERSIONS.contains(&kind) {
            match version_arn(scope, kind, own) {
                Ok(arn) => {
                    let attribute = match kind {
                        ALIAS => ALIAS_ARN,
                        _ => FUNCTION_ARN,
                    };
                    scope.add_version(id.clone(), attribute, arn);
                }
                Err(reason) => {
                    template.warn(key.line, format!("{id}: {reason}; it is left out"));
                }
            }
        }
    }
}

/// Returns the ARN of a version or an alias, of which `own` has the properties.
fn version_arn<'y>(
    scope: &Scope,
    kind: &str,
    own: impl Fn(&str) -> Option<&'y YamlNode>,
) -> Result<String, Omission> {
    let text = |name: &'static str| {
        let value = own(name).ok_or_else(|| Omission::missing("it", name))?;
        let text = scope.text(value);
        text.map_err(|unknown| Omission::needs(&format!("its {name}"), &unknown))
    };
    let function = text("FunctionName")?.parse::<FunctionReference>();
    let function = function.map_err(|_| Omission::NoFunction)?;
    let alias = match kind {
        ALIAS => {
            let name = text("Name")?;
            Some(versions::alias(&name).ok_or(Omission::Alias(name))?)
        }
        _ => None,
    };
    Ok(scope.arn(function.name(), alias.as_ref()))
}

/// Returns the name of a function to which the template gives none.
fn unnamed(
    template: &mut Template<'_>,
    scope: &Scope,
    taken: &BTreeSet<FunctionName>,
    key: &Key,
) -> String {
    let id = &key.text;
    let is_taken = taken.iter().any(|name| name.as_str() == id);
    if !is_taken || !scope.is_nested() {
        return id.clone();
    }
    let name = scope.path(id).replace('/', "-");
    let message = format!("{id}: there is another function of this name; it is called {name}");
    template.warn(key.line, message);
    name
}
