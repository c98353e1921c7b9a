//! The rules of Application Load Balancers whose target groups are functions.
//!
//! Source: `AWS::ElasticLoadBalancingV2::*` in the AWS CloudFormation template reference, "Condition types for
//! listener rules" in the Elastic Load Balancing user guide.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::header::HeaderName;
use lambda_api::FunctionName;
use serde_json::{Map, json};

use super::api::target;
use super::node::Node;
use super::omission::Omission;
use super::resource::Resource;
use super::stack::{Stack, Stacks};
use super::template::Template;
use crate::config::conditions::Condition;
use crate::config::pattern::{Host, PathPattern};
use crate::config::routes::Route;

const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
const RULE: &str = "AWS::ElasticLoadBalancingV2::ListenerRule";
const TARGET_GROUP: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";

/// The priority behind those of all rules, which is that of a listener's default.
const LAST: u32 = 50_001;

/// The largest number of routes of a listener. AWS has at most 100 rules, of five values each.
const MAX_ROUTES: usize = 10_000;

/// A rule that leads to a function.
struct Rule {
    priority: u32,
    /// Empty for any host.
    hosts: Vec<Host>,
    /// `None` is any method.
    methods: Vec<Option<Method>>,
    paths: Vec<PathPattern>,
    conditions: Vec<Condition>,
    target: Target,
    line: usize,
}

/// A target group of the type `lambda`.
struct Target {
    function: FunctionName,
    has_multi_value_headers: bool,
}

/// Reads the listeners of a stack and the rules of all stacks for them.
pub(super) fn read(
    template: &mut Template<'_>,
    stacks: &Stacks,
    stack: &Stack,
    listeners: &mut u32,
) {
    let all = stack.resources.all.iter();
    for resource in all.filter(|resource| resource.is_of_load_balancer()) {
        resource.node.get("Condition");
        match resource.kind.as_str() {
            LISTENER => {}
            RULE => _ = resource.properties.get("ListenerArn"),
            // They say how a deployment works. Rules read the targets.
            _ => resource.properties.discard(),
        }
    }
    let mut by_listener: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    let of_load_balancer =
        |resource: &&Resource| [LISTENER, RULE].contains(&resource.kind.as_str());
    for resource in stack.resources.all.iter().filter(of_load_balancer) {
        let reader = Reader {
            stacks,
            stack,
            resource,
        };
        match reader.rule(template) {
            Ok(Some((listener, rule))) => by_listener.entry(listener).or_default().push(rule),
            Ok(None) => {}
            Err(reason) => {
                let message = format!("{}: {reason}; it is left out", resource.id);
                template.warn(resource.line, message);
                resource.node.discard();
            }
        }
    }
    for mut rules in by_listener.into_values() {
        rules.sort_by_key(|rule| rule.priority);
        for rule in &mut rules {
            rule.priority = rule
                .priority
                .saturating_add(listeners.saturating_mul(LAST + 1));
        }
        *listeners += 1;
        add_routes(template, &rules);
    }
}

/// Adds the routes of the rules of a listener. Envoy takes the routes of the most specific host alone, so each host
/// has those of all rules that match it.
fn add_routes(template: &mut Template<'_>, rules: &[Rule]) {
    let mut hosts = vec![Host::any()];
    for host in rules.iter().flat_map(|rule| &rule.hosts) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let of_rules = rules
        .iter()
        .map(|rule| rule.methods.len() * rule.paths.len());
    if let Some(rule) = rules.first()
        && of_rules.sum::<usize>() * hosts.len() > MAX_ROUTES
    {
        let message = format!(
            "the rules of this listener make more than {MAX_ROUTES} routes; they are left out"
        );
        template.warn(rule.line, message);
        return;
    }
    for host in &hosts {
        for rule in rules {
            let mut own = rule.hosts.iter();
            if rule.hosts.is_empty() || own.any(|own| own.covers(host)) {
                rule.add_routes(template, host);
            }
        }
    }
}

impl Rule {
    fn add_routes(&self, template: &mut Template<'_>, host: &Host) {
        let payload = match self.target.has_multi_value_headers {
            true => "alb-multi-value",
            false => "alb",
        };
        let function = &self.target.function;
        let lambda = Map::from_iter([
            ("function".to_owned(), json!(function.as_str())),
            ("payload".to_owned(), json!(payload)),
        ]);
        for path in &self.paths {
            for method in &self.methods {
                template.add_route(Route {
                    host: host.clone(),
                    path: path.clone(),
                    method: method.clone(),
                    conditions: self.conditions.clone(),
                    lambda: lambda.clone(),
                    priority: Some(self.priority),
                    ..Route::to(function.clone(), self.line)
                });
            }
        }
    }
}

/// Reads a listener, whose default is a rule too, or a rule.
struct Reader<'r> {
    stacks: &'r Stacks,
    stack: &'r Stack,
    resource: &'r Resource,
}

impl<'r> Reader<'r> {
    /// Returns the path of the listener and the rule; `None` if the rule leads to no function.
    fn rule(&self, template: &mut Template<'_>) -> Result<Option<(String, Rule)>, Omission> {
        let properties = &self.resource.properties;
        let is_listener = self.resource.kind == LISTENER;
        if is_listener {
            for key in [
                "LoadBalancerArn",
                "Port",
                "Protocol",
                "Certificates",
                "SslPolicy",
            ] {
                properties.get(key).into_iter().for_each(Node::discard);
            }
        }
        let listener = match is_listener {
            true => self.stack.scope.path(&self.resource.id),
            false => properties
                .get("ListenerArn")
                .and_then(|node| self.stack.scope.resource(node))
                .ok_or_else(|| Omission::NotKnown("its listener".to_owned()))?,
        };
        let (actions, priority) = match is_listener {
            true => ("DefaultActions", LAST),
            false => ("Actions", self.priority()?),
        };
        let actions = properties.get(actions).map_or(&[][..], Node::items);
        let Some(target) = self.target(template, actions)? else {
            return Ok(None);
        };
        let mut rule = Rule {
            priority,
            hosts: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
            conditions: Vec::new(),
            target,
            line: self.resource.line,
        };
        let conditions = properties.get("Conditions").map_or(&[][..], Node::items);
        for condition in conditions {
            rule.add(condition)?;
        }
        if rule.methods.is_empty() {
            rule.methods.push(None);
        }
        if rule.paths.is_empty() {
            rule.paths.push(PathPattern::any());
        }
        Ok(Some((listener, rule)))
    }

    fn priority(&self) -> Result<u32, Omission> {
        let priority = self.resource.properties.get("Priority");
        let priority = priority.and_then(|priority| priority.text().ok()?.parse().ok());
        let priority = priority.filter(|priority| (1..LAST).contains(priority));
        priority.ok_or(Omission::Priority)
    }

    /// Returns the function to which actions lead, if there is one.
    fn target(
        &self,
        template: &mut Template<'_>,
        actions: &[Node],
    ) -> Result<Option<Target>, Omission> {
        let mut target = None;
        for action in actions {
            action.get("Order");
            let kind = action.get("Type").and_then(|kind| kind.text().ok());
            match kind.unwrap_or("unknown") {
                "forward" => target = Some(self.forward(template, action)?),
                kind @ ("authenticate-oidc" | "authenticate-cognito" | "jwt-validation") => {
                    let message = format!(
                        "{}: {kind} has no effect here: the route is open to every caller",
                        self.resource.id
                    );
                    template.warn(action.line, message);
                    action.discard();
                }
                kind => return Err(Omission::of_type("actions", Some(kind))),
            }
        }
        Ok(target)
    }

    fn forward(&self, template: &mut Template<'_>, action: &Node) -> Result<Target, Omission> {
        let groups = action.get("ForwardConfig");
        let groups = groups.and_then(|config| config.get("TargetGroups"));
        let groups = groups.map_or(&[][..], Node::items);
        if groups.len() > 1 {
            let message = format!(
                "{}: of several target groups, only the first is taken",
                self.resource.id
            );
            template.warn(action.line, message);
        }
        let mut groups = groups.iter().map(|group| {
            group.get("Weight");
            group.get("TargetGroupArn")
        });
        let group = groups.next().flatten();
        groups.for_each(drop);
        let group = group
            .or_else(|| action.get("TargetGroupArn"))
            .and_then(|node| self.stack.scope.resource(node))
            .and_then(|path| self.stacks.get(&path))
            .filter(|(_, group)| group.kind == TARGET_GROUP);
        let (_, group) = group.ok_or_else(|| Omission::NotKnown("its target group".to_owned()))?;
        let text = |node: Option<&Node>| node.and_then(|node| node.text().ok().map(str::to_owned));
        let kind = text(group.properties.get("TargetType"));
        if kind.as_deref() != Some("lambda") {
            let kind = kind.as_deref().or(Some("instance"));
            return Err(Omission::of_type("targets", kind));
        }
        let targets = group.properties.get("Targets").map_or(&[][..], Node::items);
        let id = targets.first().and_then(|target| target.get("Id"));
        let function =
            target(id.ok_or_else(|| Omission::missing(group.id.clone(), "target"))?)?.function;
        let attributes = group.properties.get("TargetGroupAttributes");
        let is_set = |attribute: &Node| {
            text(attribute.get("Key")).as_deref() == Some("lambda.multi_value_headers.enabled")
                && text(attribute.get("Value")).as_deref() == Some("true")
        };
        Ok(Target {
            function,
            has_multi_value_headers: attributes
                .is_some_and(|attributes| attributes.items().iter().any(is_set)),
        })
    }
}

impl Rule {
    fn add(&mut self, condition: &Node) -> Result<(), Omission> {
        let field = condition.get("Field").map(Node::text);
        let field = field.ok_or_else(|| Omission::missing("a condition", "Field"))?;
        let field = field.map_err(|unknown| Omission::needs("a Field", &unknown))?;
        match field {
            "host-header" => {
                for value in values(condition, "HostHeaderConfig")? {
                    self.hosts.push(value.parse()?);
                }
            }
            "http-request-method" => {
                for value in values(condition, "HttpRequestMethodConfig")? {
                    let method = Method::from_bytes(value.as_bytes());
                    let method = method.map_err(|_| Omission::Method(value))?;
                    self.methods.push(Some(method));
                }
            }
            "path-pattern" => {
                let patterns = values(condition, "PathPatternConfig")?;
                let plain = patterns.iter().map(|pattern| match pattern.as_str() {
                    "*" | "/*" => Some(PathPattern::any()),
                    pattern if pattern.contains(['*', '?', '{']) => None,
                    pattern => pattern.parse().ok(),
                });
                match plain.collect::<Option<Vec<_>>>() {
                    Some(paths) => self.paths.extend(paths),
                    None => self.conditions.push(Condition::Path(patterns)),
                }
            }
            "http-header" => {
                let config = condition.get("HttpHeaderConfig");
                let name = config.and_then(|config| config.get("HttpHeaderName")?.text().ok());
                let name = name.and_then(|name| name.parse::<HeaderName>().ok());
                let name =
                    name.ok_or_else(|| Omission::missing("a condition", "name of a header"))?;
                let values = values(condition, "HttpHeaderConfig")?;
                self.conditions
                    .push(Condition::Header(name.to_string(), values));
            }
            "query-string" => {
                let config = condition.get("QueryStringConfig");
                let pairs = config.and_then(|config| config.get("Values"));
                let [pair] = pairs.map_or(&[][..], Node::items) else {
                    return Err(Omission::QueryValues);
                };
                let text = |key: &str| pair.get(key).map(Node::text).transpose();
                let unknown = |unknown| Omission::needs("a condition on the query", &unknown);
                let (key, value) = (
                    text("Key").map_err(unknown)?,
                    text("Value").map_err(unknown)?,
                );
                match (key, value) {
                    (Some(key), Some(value)) if !key.contains(['*', '?']) => {
                        let values = vec![value.to_owned()];
                        self.conditions
                            .push(Condition::Query(key.to_owned(), values));
                    }
                    _ => return Err(Omission::QueryKey),
                }
            }
            "source-ip" => {
                let ranges = values(condition, "SourceIpConfig")?;
                let ranges = ranges.iter().map(|range| range.parse());
                let ranges = ranges.collect::<Result<_, _>>()?;
                self.conditions.push(Condition::Source(ranges));
            }
            field => return Err(Omission::Condition(field.to_owned())),
        }
        Ok(())
    }
}

/// Returns the values of a condition, in its new form or in the old one.
fn values(condition: &Node, config: &str) -> Result<Vec<String>, Omission> {
    let values = condition
        .get(config)
        .and_then(|config| config.get("Values"));
    let values = values.or_else(|| condition.get("Values"));
    let values = values.map_or(&[][..], Node::items);
    if values.is_empty() {
        return Err(Omission::NoValues);
    }
    let texts = values.iter().map(|value| value.text().map(str::to_owned));
    texts
        .collect::<Result<_, _>>()
        .map_err(|unknown| Omission::needs("a condition", &unknown))
}
