//! Warnings about the keys of a template that have no meaning here.
//!
//! Readers take the keys that they understand. Every other key ends up here, so that a key which nobody
//! thought of is not lost.

use super::resource::Resources;
use super::template::Template;

/// The keys that change nothing about a call, on AWS either.
const DESCRIPTIONS: [&str; 18] = [
    "AlwaysDeploy",
    "ApiKeySourceType",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Description",
    "FailOnWarnings",
    "Metadata",
    "Name",
    "NotificationARNs",
    "OpenApiVersion",
    "PropagateTags",
    "Tags",
    "TimeoutInMinutes",
    "UpdateReplacePolicy",
    "VersionDescription",
];

/// The reasons why keys have no effect. Warnings about one of them are put together.
const REASONS: [(&[&str], &str); 13] = [
    (
        &[
            "Role",
            "Policies",
            "AssumeRolePolicyDocument",
            "PermissionsBoundary",
            "RolePath",
            "RuntimePolicy",
            "Connectors",
        ],
        "a function on this machine has the credentials that it finds there",
    ),
    (
        &["VpcConfig"],
        "a function on this machine has the machine's network",
    ),
    (
        &["Architectures"],
        "a function runs on this machine's processor",
    ),
    (
        &["Tracing", "TracingConfig", "TracingEnabled"],
        "nothing is traced here",
    ),
    (
        &[
            "AutoPublishAlias",
            "DeploymentPreference",
            "PublishToLatestPublished",
            "VersionDeletionPolicy",
            "UpdatePolicy",
        ],
        "nothing is published here",
    ),
    (
        &[
            "ProvisionedConcurrencyConfig",
            "SnapStart",
            "FunctionScalingConfig",
        ],
        "functions.NAME.local.min_environments keeps environments ready",
    ),
    (
        &["EventInvokeConfig", "DeadLetterQueue", "DeadLetterConfig"],
        "functions.NAME.event says what happens to events",
    ),
    (
        &["KmsKeyArn", "SourceKMSKeyArn"],
        "nothing is encrypted here",
    ),
    (&["CodeSigningConfigArn"], "no signature is checked here"),
    (
        &[
            "Auth",
            "Authorizer",
            "DefaultAuthorizer",
            "EnableIamAuthorizer",
            "AuthorizationType",
            "AuthorizerId",
            "ApiKeyRequired",
            "AuthType",
            "security",
            "securityDefinitions",
        ],
        "the routes are open to every caller",
    ),
    (
        &["AuthorizationScopes"],
        "a token with any scope is accepted here",
    ),
    (
        &[
            "EndpointConfiguration",
            "Domain",
            "DisableExecuteApiEndpoint",
            "SecurityPolicy",
            "IpAddressType",
        ],
        "the routes are under every host that has none of its own",
    ),
    (
        &[
            "AccessLogSetting",
            "AccessLogSettings",
            "MethodSettings",
            "RouteSettings",
            "DefaultRouteSettings",
            "LoggingConfig",
            "RecursiveLoop",
            "RuntimeManagementConfig",
        ],
        "AWS's own operation is what it sets",
    ),
];

/// Warns of every key that no reader has taken, and of every resource that nothing comes of.
pub(super) fn warn(template: &mut Template<'_>, resources: &Resources) {
    let mut groups: Vec<Group> = Vec::new();
    for (name, tree, prefix) in resources.trees() {
        for key in tree.unread() {
            let path = key.path.strip_prefix(prefix).unwrap_or(&key.path);
            let path = path.replace(".Properties.", ".");
            let last = path.rsplit('.').next().unwrap_or(&path);
            if DESCRIPTIONS.contains(&last) {
                continue;
            }
            let reason = REASONS.iter().find(|(keys, _)| keys.contains(&last));
            match reason {
                None => {
                    let message =
                        format!("{name}: {path} is not understood and has no effect here");
                    template.warn(key.line, message);
                }
                Some((_, reason)) => add(
                    &mut groups,
                    Group {
                        topic: last.to_owned(),
                        line: key.line,
                        message: format!("{name}: {path} has no effect here: {reason}"),
                        others: Vec::new(),
                    },
                ),
            }
        }
    }
    for group in groups {
        template.warn(group.line, group.text());
    }
}

/// Warns of the resources of a type that is not read. Their keys are not worth a warning each.
pub(super) fn warn_of_resources(template: &mut Template<'_>, resources: &Resources) {
    let mut groups: Vec<Group> = Vec::new();
    for resource in &resources.all {
        if resource.is_read() {
            continue;
        }
        resource.node.discard();
        let kind = match resource.kind.as_str() {
            "" => "an unknown type",
            kind => kind,
        };
        add(
            &mut groups,
            Group {
                topic: kind.to_owned(),
                line: resource.line,
                message: format!(
                    "{}: resources of the type {kind} are not made here",
                    resource.id
                ),
                others: Vec::new(),
            },
        );
    }
    for group in groups {
        template.warn(group.line, group.text());
    }
}

/// A warning for several lines.
struct Group {
    topic: String,
    /// The first line.
    line: usize,
    /// The message for the first line.
    message: String,
    others: Vec<usize>,
}

impl Group {
    fn text(&self) -> String {
        let others: Vec<_> = self.others.iter().map(ToString::to_string).collect();
        match others.as_slice() {
            [] => self.message.clone(),
            [one] => format!("{} (line {one} too)", self.message),
            _ => format!("{} (lines {} too)", self.message, others.join(", ")),
        }
    }
}

fn add(groups: &mut Vec<Group>, new: Group) {
    match groups.iter_mut().find(|group| group.topic == new.topic) {
        Some(group) if group.line == new.line || group.others.contains(&new.line) => {}
        Some(group) => group.others.push(new.line),
        None => groups.push(new),
    }
}
