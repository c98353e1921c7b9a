//! CloudFormation's intrinsic functions, as far as they have a value before anything is deployed.
//!
//! Source: "Intrinsic function reference", "Pseudo parameters reference" and "Parameters section syntax" in the
//! AWS CloudFormation user guide.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lambda_api::{ACCOUNT_ID, FunctionArn, FunctionName, Partition, Qualifier};

use super::node::{Entry, Kind, Node, Unknown};
use super::template::{Template, child, entries, scalar};
use crate::config::yaml::tree::{self, Key, YamlNode};
use crate::invocation::region;

/// The most text that the functions of one template, with those inside it, may return.
pub(super) const MAX_TEXT: usize = 16 << 20;

/// The values of the names in a template.
pub(super) struct Scope {
    parameters: Vec<(Key, YamlNode)>,
    /// The values of parameters from `invoker.yaml`, or from the stack around this one.
    overrides: BTreeMap<String, Node>,
    mappings: Option<YamlNode>,
    /// `Conditions`, see `condition.rs`.
    pub(super) conditions: Vec<(Key, YamlNode)>,
    /// The functions' names by their logical ids.
    pub(super) functions: BTreeMap<String, FunctionName>,
    /// The ARNs of versions and aliases of functions, by their logical ids and by their attributes.
    versions: BTreeMap<String, String>,
    /// The logical ids of resources whose identifier only other resources use, so that the logical id
    /// does as well.
    pub(super) internal: BTreeSet<String>,
    /// The outputs of the stacks inside this one, by their logical ids.
    pub(super) outputs: BTreeMap<String, BTreeMap<String, Node>>,
    region: String,
    pub(super) stack_name: String,
    /// The logical ids of the stacks around this one, each with a slash.
    prefix: String,
    /// The text that functions may still return. The stacks of a template share it.
    left: Rc<Cell<usize>>,
    /// The conditions whose evaluation has begun.
    pub(super) evaluated: RefCell<BTreeMap<String, Option<Result<bool, Unknown>>>>,
}

impl Scope {
    /// Returns the scope of a template in which no resource is known yet.
    pub(super) fn new(
        root: &YamlNode,
        overrides: BTreeMap<String, Node>,
        (stack_name, prefix): (String, String),
        left: &Rc<Cell<usize>>,
    ) -> Self {
        Self {
            parameters: child(root, "Parameters")
                .map_or_else(Vec::new, |all| entries(all).to_vec()),
            overrides,
            mappings: child(root, "Mappings").cloned(),
            conditions: Vec::new(),
            functions: BTreeMap::new(),
            versions: BTreeMap::new(),
            internal: BTreeSet::new(),
            outputs: BTreeMap::new(),
            region: region(|name| std::env::var_os(name)),
            stack_name,
            prefix,
            left: Rc::clone(left),
            evaluated: RefCell::default(),
        }
    }

    /// Returns the names of the parameters.
    pub(super) fn parameter_names(&self) -> Vec<String> {
        let names = self.parameters.iter();
        names.map(|(key, _)| key.text.clone()).collect()
    }

    /// Warns of values that AWS does not take for their parameters.
    pub(super) fn warn_of_parameters(&self, template: &mut Template<'_>) {
        for (key, parameter) in &self.parameters {
            let given = self.overrides.get(&key.text).map(Node::text);
            let allowed = child(parameter, "AllowedValues");
            if let (Some(Ok(given)), Some(tree::Kind::List(allowed))) =
                (given, allowed.map(|allowed| &allowed.kind))
            {
                let allowed: Vec<_> = allowed.iter().filter_map(scalar).collect();
                let mut items = match is_list(parameter_type(parameter)) {
                    true => list_items(given),
                    false => vec![given],
                }
                .into_iter();
                if let Some(given) = items.find(|item| !allowed.contains(item)) {
                    let message = format!(
                        "{}: AWS does not take \"{given}\" for this parameter: AllowedValues are {}",
                        key.text,
                        allowed.join(", ")
                    );
                    template.warn(key.line, message);
                }
            }
        }
    }

    /// Returns the logical id of a resource, behind those of the stacks around it: `Inner/Function`.
    pub(super) fn path(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Returns whether another stack contains this one.
    pub(super) fn is_nested(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Returns the path of the resource to which a value refers.
    pub(super) fn resource(&self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Unknown(unknown) => unknown.resource.clone(),
            // Some tools write the id where a `Ref` belongs.
            Kind::Text(text) => Some(self.path(text)),
            _ => None,
        }
    }

    /// Returns a value with its functions replaced by what they return.
    pub(super) fn evaluate(&self, node: &YamlNode) -> Node {
        let kind = match &node.kind {
            tree::Kind::Null => Kind::Null,
            tree::Kind::Text(text) => self.plain(text.clone()),
            tree::Kind::List(items) => Kind::List(self.items(items)),
            tree::Kind::Mapping(pairs) => {
                if let [(key, argument)] = pairs.as_slice()
                    && is_function(&key.text)
                {
                    let result = match self.branch(&key.text, argument) {
                        Some(branch) => branch.map(|branch| self.evaluate(branch)),
                        None => {
                            let result = self.call(&key.text, argument);
                            result.map(|kind| Node::new(node.line, kind))
                        }
                    };
                    let unknown = |unknown| Node::new(node.line, Kind::Unknown(unknown));
                    return Node {
                        line: node.line,
                        is_computed: true,
                        ..result.unwrap_or_else(unknown)
                    };
                }
                let entry = |(key, value): &(Key, YamlNode)| {
                    Entry::new(key.text.clone(), key.line, self.evaluate(value))
                };
                Kind::Mapping(pairs.iter().map(entry).collect())
            }
        };
        Node {
            is_plain: node.is_plain,
            ..Node::new(node.line, kind)
        }
    }

    /// Returns the value that `Fn::If` selects; `None` for any other function.
    fn branch<'y>(
        &self,
        function: &str,
        argument: &'y YamlNode,
    ) -> Option<Result<&'y YamlNode, Unknown>> {
        let (tree::Kind::List(items), "Fn::If") = (&argument.kind, function) else {
            return None;
        };
        let [condition, then, otherwise] = items.as_slice() else {
            return None;
        };
        let is_true = self.condition(scalar(condition)?);
        Some(is_true.map(|is_true| if is_true { then } else { otherwise }))
    }

    /// Returns the text that a value stands for.
    ///
    /// # Errors
    /// Names the value that is not known here.
    pub(super) fn text(&self, node: &YamlNode) -> Result<String, Unknown> {
        self.evaluate(node).text().map(str::to_owned)
    }

    fn items(&self, items: &[YamlNode]) -> Vec<Node> {
        let items = items.iter().map(|item| self.evaluate(item));
        items
            .filter(|item| !matches!(item.kind, Kind::Absent))
            .collect()
    }

    /// Returns a text. One that AWS replaces by a secret or a parameter at deployment is not known here.
    fn plain(&self, text: String) -> Kind {
        let reference = text.find("{{resolve:").and_then(|start| text.get(start..));
        match reference.and_then(|rest| rest.split_once("}}")) {
            Some((reference, _)) => Kind::Unknown(Unknown::needs(format!("{reference}}}}}"))),
            None => Kind::Text(text),
        }
    }

    /// Takes the text of a function's result from what is left.
    fn spend(&self, text: String) -> Result<Kind, Unknown> {
        let left = self.left.get().checked_sub(text.len());
        self.left.set(left.unwrap_or_default());
        match left {
            Some(_) => Ok(self.plain(text)),
            None => Err(Unknown::needs(format!(
                "more than {MAX_TEXT} bytes of text"
            ))),
        }
    }

    fn call(&self, function: &str, argument: &YamlNode) -> Result<Kind, Unknown> {
        let malformed = || Unknown::needs(function);
        let list = match &argument.kind {
            tree::Kind::List(items) => items.as_slice(),
            _ => &[],
        };
        match (function, list) {
            ("Ref", _) => self.reference(scalar(argument).ok_or_else(malformed)?),
            ("Fn::GetAtt", []) => self.attribute(scalar(argument).ok_or_else(malformed)?),
            ("Fn::GetAtt", parts) => {
                let parts: Result<Vec<_>, _> = parts.iter().map(|part| self.text(part)).collect();
                self.attribute(&parts?.join("."))
            }
            ("Fn::Sub", []) => {
                self.substitute(scalar(argument).ok_or_else(malformed)?, &BTreeMap::new())
            }
            ("Fn::Sub", [pattern, values]) => {
                let values = entries(values);
                let values = values
                    .iter()
                    .map(|(key, value)| (key.text.as_str(), self.evaluate(value)));
                self.substitute(scalar(pattern).ok_or_else(malformed)?, &values.collect())
            }
            ("Fn::Join", [separator, items]) => {
                let separator = scalar(separator).unwrap_or_default();
                let items = self
                    .list(items)
                    .map_err(|unknown| unknown.unwrap_or_else(malformed))?;
                let items: Result<Vec<_>, _> = items.iter().map(Node::text).collect();
                self.spend(items?.join(separator))
            }
            ("Fn::Split", [separator, text]) => {
                let separator = scalar(separator).filter(|separator| !separator.is_empty());
                let text = self.text(text)?;
                let parts = text.split(separator.ok_or_else(malformed)?);
                let part = |part: &str| Node::new(argument.line, Kind::Text(part.to_owned()));
                Ok(Kind::List(parts.map(part).collect()))
            }
            ("Fn::Select", [index, items]) => {
                let index: usize = self.text(index)?.parse().map_err(|_| malformed())?;
                let items = self
                    .list(items)
                    .map_err(|unknown| unknown.unwrap_or_else(malformed))?;
                items
                    .into_iter()
                    .nth(index)
                    .map(|item| item.kind)
                    .ok_or_else(malformed)
            }
            ("Fn::FindInMap", [map, first, second, rest @ ..]) => {
                let names = [self.text(map)?, self.text(first)?, self.text(second)?];
                let mut found = self.mappings.as_ref();
                for name in &names {
                    found = found.and_then(|found| child(found, name));
                }
                let default = rest.first().and_then(|rest| child(rest, "DefaultValue"));
                let found = found.filter(|found| !matches!(found.kind, tree::Kind::Null));
                match found.or(default) {
                    Some(found) => Ok(self.evaluate(found).kind),
                    None => Err(Unknown::needs(format!("the mapping {}", names.join(".")))),
                }
            }
            ("Fn::Base64", []) => self.spend(BASE64_STANDARD.encode(self.text(argument)?)),
            ("Fn::ToJsonString", _) => {
                let mut json = String::new();
                self.evaluate(argument).write_json(&mut json)?;
                self.spend(json)
            }
            ("Fn::Length", _) => {
                let items = self
                    .list(argument)
                    .map_err(|unknown| unknown.unwrap_or_else(malformed))?;
                Ok(Kind::Text(items.len().to_string()))
            }
            _ => Err(malformed()),
        }
    }

    /// Returns the items of a list, or of a function that returns one.
    fn list(&self, node: &YamlNode) -> Result<Vec<Node>, Option<Unknown>> {
        match self.evaluate(node).kind {
            Kind::List(items) => Ok(items),
            Kind::Unknown(unknown) => Err(Some(unknown)),
            _ => Err(None),
        }
    }

    fn reference(&self, name: &str) -> Result<Kind, Unknown> {
        let value = match name {
            "AWS::NoValue" => return Ok(Kind::Absent),
            "AWS::AccountId" => ACCOUNT_ID,
            "AWS::Partition" => Partition::of_region(&self.region).id,
            "AWS::Region" => &self.region,
            "AWS::StackName" => &self.stack_name,
            "AWS::StackId" => &self.stack_id(),
            "AWS::URLSuffix" => Partition::of_region(&self.region).dns_suffix,
            name => return self.named(name),
        };
        self.spend(value.to_owned())
    }

    /// Returns an ARN in whose form templates look for a unique text. That of the SAM CLI has the same one.
    fn stack_id(&self) -> String {
        format!(
            "arn:{}:cloudformation:{}:{ACCOUNT_ID}:stack/{}/51af3dc0-da77-11e4-872e-1234567db123",
            Partition::of_region(&self.region).id,
            self.region,
            self.stack_name
        )
    }

    /// Returns the value of a parameter, or the name of a function.
    fn named(&self, name: &str) -> Result<Kind, Unknown> {
        if let Some(function) = self.functions.get(name) {
            return self.spend(function.to_string());
        }
        if let Some(arn) = self.versions.get(name) {
            return self.spend(arn.clone());
        }
        if self.internal.contains(name) {
            return self.spend(name.to_owned());
        }
        let parameter = self.parameters.iter().find(|(key, _)| key.text == name);
        let (_, parameter) = parameter.ok_or_else(|| Unknown {
            needs: name.to_owned(),
            resource: Some(self.path(name)),
        })?;
        let kind = parameter_type(parameter);
        // The default of a value of the Parameter Store is the name of the value.
        let is_stored = kind.starts_with("AWS::SSM::Parameter::Value<");
        let default = child(parameter, "Default").filter(|_| !is_stored);
        let default = default.and_then(|default| match &default.kind {
            // An empty text, written without quotes.
            tree::Kind::Null => Some(""),
            _ => scalar(default),
        });
        let given = match self.overrides.get(name).map(|given| &given.kind) {
            Some(Kind::Text(given)) => Some(given.as_str()),
            Some(other) => return Ok(other.clone()),
            None => None,
        };
        let value = given.or(default);
        let value = value.ok_or_else(|| Unknown::needs(format!("the parameter {name}")))?;
        match is_list(kind) {
            false => self.spend(value.to_owned()),
            true => {
                let items = list_items(value).into_iter();
                let item = |item: &str| Node::new(0, Kind::Text(item.to_owned()));
                Ok(Kind::List(items.map(item).collect()))
            }
        }
    }

    /// Makes an ARN the value of a `Ref` to a version or an alias, and of its attribute.
    pub(super) fn add_version(&mut self, name: String, attribute: &str, arn: String) {
        let attribute = format!("{name}.{attribute}");
        self.versions.insert(attribute, arn.clone());
        self.versions.insert(name, arn);
    }

    /// Returns the ARN of a function, with the name of a version or an alias.
    pub(super) fn arn(&self, function: &FunctionName, qualifier: Option<&Qualifier>) -> String {
        FunctionArn::outside_aws(&self.region, function, qualifier).to_string()
    }

    fn attribute(&self, attribute: &str) -> Result<Kind, Unknown> {
        let (id, name) = attribute.split_once('.').unwrap_or((attribute, ""));
        match self.functions.get(id) {
            Some(function) if name == "Arn" => self.spend(self.arn(function, None)),
            _ => match (self.output(id, name), self.versions.get(attribute)) {
                (Some(output), _) => Ok(output.kind.clone()),
                (None, Some(arn)) => self.spend(arn.clone()),
                (None, None) => Err(Unknown {
                    needs: attribute.to_owned(),
                    resource: Some(self.path(id)),
                }),
            },
        }
    }

    /// Returns an output of a stack inside this one.
    fn output(&self, id: &str, attribute: &str) -> Option<&Node> {
        let name = attribute.strip_prefix("Outputs.")?;
        self.outputs.get(id)?.get(name)
    }

    /// `${Name}` and `${Name.Attribute}` stand for values, `${!Name}` for itself without the `!`.
    fn substitute(&self, pattern: &str, values: &BTreeMap<&str, Node>) -> Result<Kind, Unknown> {
        let mut text = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or(Unknown::needs("Fn::Sub"))?;
            text.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                text.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let name = name.trim();
            let value = match values.get(name) {
                Some(given) => given.kind.clone(),
                None if name.contains('.') => self.attribute(name)?,
                None => self.reference(name)?,
            };
            if !matches!(value, Kind::Absent) {
                text.push_str(Node::new(0, value).text()?);
            }
            if text.len() > self.left.get() {
                break;
            }
        }
        text.push_str(rest);
        self.spend(text)
    }
}

fn parameter_type(parameter: &YamlNode) -> &str {
    let kind = child(parameter, "Type").and_then(scalar);
    kind.unwrap_or_default()
}

fn is_list(parameter_type: &str) -> bool {
    parameter_type == "CommaDelimitedList" || parameter_type.contains("List<")
}

fn list_items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).collect()
}

/// Returns whether a mapping with this key alone is a function.
fn is_function(key: &str) -> bool {
    let name = key.strip_prefix("Fn::");
    key == "Ref" || name.is_some_and(|name| name != "Transform" && !name.starts_with("ForEach"))
}
