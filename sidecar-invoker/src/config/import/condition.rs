//! The conditions of a template.
//!
//! Source: "Condition functions" in the AWS CloudFormation user guide.

use super::intrinsic::Scope;
use super::node::Unknown;
use super::template::scalar;
use crate::config::yaml::tree::{Kind, YamlNode};

/// The longest chain of conditions that refer to each other.
const MAX_CHAIN: usize = 100;

impl Scope {
    /// Returns the value of a condition.
    ///
    /// # Errors
    /// Names the value that is not known here.
    pub(super) fn condition(&self, name: &str) -> Result<bool, Unknown> {
        let unknown = || Unknown::needs(format!("the condition {name}"));
        let mut evaluated = self.evaluated.borrow_mut();
        if let Some(result) = evaluated.get(name) {
            // Without a result, the condition refers to itself.
            return result.clone().unwrap_or_else(|| Err(unknown()));
        }
        let running = evaluated.values().filter(|result| result.is_none());
        if running.count() > MAX_CHAIN {
            return Err(unknown());
        }
        evaluated.insert(name.to_owned(), None);
        drop(evaluated);
        let found = self.conditions.iter().find(|(key, _)| key.text == name);
        let result = match found {
            Some((_, condition)) => self.is_true(condition),
            None => Err(unknown()),
        };
        let mut evaluated = self.evaluated.borrow_mut();
        evaluated.insert(name.to_owned(), Some(result.clone()));
        result
    }

    fn is_true(&self, condition: &YamlNode) -> Result<bool, Unknown> {
        let (function, argument) = match &condition.kind {
            Kind::Mapping(pairs) => match pairs.as_slice() {
                [(key, argument)] => (key.text.as_str(), argument),
                _ => return Err(Unknown::needs("a mapping")),
            },
            _ => return self.literal(condition),
        };
        let list = match &argument.kind {
            Kind::List(items) => items.as_slice(),
            _ => &[],
        };
        match (function, list) {
            ("Condition", []) => {
                self.condition(scalar(argument).ok_or(Unknown::needs("Condition"))?)
            }
            ("Fn::Equals", [left, right]) => Ok(self.text(left)? == self.text(right)?),
            ("Fn::Not", [condition]) => self.is_true(condition).map(|is_true| !is_true),
            // One condition may decide although another is not known.
            ("Fn::And", conditions) => self.all(conditions, true),
            ("Fn::Or", conditions) => self.all(conditions, false).map(|none| !none),
            _ => self.literal(condition),
        }
    }

    /// Returns whether all conditions have this value.
    fn all(&self, conditions: &[YamlNode], value: bool) -> Result<bool, Unknown> {
        let mut unknown = None;
        for condition in conditions {
            match self.is_true(condition) {
                Ok(found) if found != value => return Ok(false),
                Ok(_) => {}
                Err(error) => unknown = Some(error),
            }
        }
        unknown.map_or(Ok(true), Err)
    }

    fn literal(&self, condition: &YamlNode) -> Result<bool, Unknown> {
        let text = self.text(condition)?;
        text.parse()
            .map_err(|_| Unknown::needs(format!("true or false in the place of \"{text}\"")))
    }
}
