//! CloudFormation's intrinsic functions, as far as they have a value before anything is deployed.
//!
//! Source: "Intrinsic function reference" and "Pseudo parameters reference" in the AWS
//! CloudFormation user guide.

use std::collections::BTreeMap;

use super::template::{child, entries, scalar};
use crate::config::yaml::tree::{Key, Kind, YamlNode};
use crate::invocation::region;
use lambda_api::{ACCOUNT_ID, FunctionArn, FunctionName, Partition};

/// The values of the names in a template.
pub(super) struct Scope<'t> {
    parameters: &'t [(Key, YamlNode)],
    /// The functions' names by their logical ids.
    pub(super) functions: BTreeMap<&'t str, FunctionName>,
    region: String,
}

impl<'t> Scope<'t> {
    /// The parameters of a template, and no function yet.
    pub(super) fn new(root: &'t YamlNode) -> Self {
        Self {
            parameters: child(root, "Parameters").map_or(&[], entries),
            functions: BTreeMap::new(),
            region: region(|name| std::env::var_os(name)),
        }
    }

    /// The text that a value stands for; `None` for `AWS::NoValue`, which takes its key away.
    ///
    /// # Errors
    /// Names the value that is not known here.
    pub(super) fn text(&self, node: &YamlNode) -> Result<Option<String>, String> {
        let (function, argument) = match &node.kind {
            Kind::Text(text) => return Ok(Some(text.clone())),
            Kind::Mapping(entries) => match entries.as_slice() {
                [(key, argument)] => (key.text.as_str(), argument),
                _ => return Err("a mapping".to_owned()),
            },
            Kind::List(_) => return Err("a list".to_owned()),
            Kind::Null => return Err("nothing".to_owned()),
        };
        match (function, &argument.kind) {
            ("Ref", Kind::Text(name)) => self.reference(name),
            ("Fn::GetAtt", Kind::Text(attribute)) => self.attribute(attribute).map(Some),
            ("Fn::GetAtt", Kind::List(parts)) => {
                let parts: Option<Vec<_>> = parts.iter().map(scalar).collect();
                self.attribute(&parts.unwrap_or_default().join("."))
                    .map(Some)
            }
            ("Fn::Sub", Kind::Text(pattern)) => self.substitute(pattern, None).map(Some),
            ("Fn::Sub", Kind::List(parts)) => match parts.as_slice() {
                [pattern, values] => {
                    let pattern = scalar(pattern).ok_or("Fn::Sub")?;
                    self.substitute(pattern, Some(values)).map(Some)
                }
                _ => Err("Fn::Sub".to_owned()),
            },
            ("Fn::Join", Kind::List(parts)) => match parts.as_slice() {
                [
                    separator,
                    YamlNode {
                        kind: Kind::List(items),
                        ..
                    },
                ] => {
                    let items: Result<Vec<_>, _> =
                        items.iter().map(|item| self.text(item)).collect();
                    let items: Vec<_> = items?.into_iter().flatten().collect();
                    Ok(Some(items.join(scalar(separator).unwrap_or_default())))
                }
                _ => Err("Fn::Join".to_owned()),
            },
            (function, _) => Err(function.to_owned()),
        }
    }

    fn reference(&self, name: &str) -> Result<Option<String>, String> {
        let value = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::AccountId" => ACCOUNT_ID,
            "AWS::Partition" => Partition::of_region(&self.region).id,
            "AWS::Region" => &self.region,
            "AWS::URLSuffix" => Partition::of_region(&self.region).dns_suffix,
            name => return self.named(name).map(Some),
        };
        Ok(Some(value.to_owned()))
    }

    /// A parameter's default or a function's name.
    fn named(&self, name: &str) -> Result<String, String> {
        if let Some(function) = self.functions.get(name) {
            return Ok(function.to_string());
        }
        let parameter = self.parameters.iter().find(|(key, _)| key.text == name);
        let (_, parameter) = parameter.ok_or(name)?;
        // Of these the default is the name of a value, not the value.
        let kind = child(parameter, "Type")
            .and_then(scalar)
            .unwrap_or_default();
        let default = child(parameter, "Default").and_then(scalar);
        match default {
            Some(default) if !kind.starts_with("AWS::SSM::") => Ok(default.to_owned()),
            _ => Err(format!("the parameter {name}")),
        }
    }

    fn attribute(&self, attribute: &str) -> Result<String, String> {
        let name = attribute.strip_suffix(".Arn");
        let name = name.and_then(|name| self.functions.get(name));
        let name = name.ok_or(attribute)?;
        Ok(FunctionArn::outside_aws(&self.region, name, None).to_string())
    }

    /// `${Name}` and `${Name.Attribute}` stand for values, `${!Name}` for itself without the `!`.
    fn substitute(&self, pattern: &str, values: Option<&YamlNode>) -> Result<String, String> {
        let mut text = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("Fn::Sub")?;
            text.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                text.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let name = name.trim();
            let given = values.and_then(|values| child(values, name));
            let value = match given {
                Some(given) => self.text(given)?,
                None if name.contains('.') => Some(self.attribute(name)?),
                None => self.reference(name)?,
            };
            text.push_str(&value.unwrap_or_default());
        }
        text.push_str(rest);
        Ok(text)
    }
}
