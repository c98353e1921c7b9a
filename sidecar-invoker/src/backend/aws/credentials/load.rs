//! Loads credentials and region with the AWS SDK, and puts its errors into plain words.

use std::error::Error;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::error::ErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use tokio::time::timeout;

use crate::backend::aws::endpoint::Variant;
use crate::config::yaml::scalar;
use crate::config::{Endpoint, Role};
use crate::sigv4::Identity;

/// The longest time for all sources together. A `credential_process` may ask its user for a code, and AWS's SDK for Go
/// gives it a minute. The limit also covers an endpoint that accepts a connection and never responds.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Identifies the credentials of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CredentialsKey {
    /// The role to assume with the credentials that the SDK finds.
    pub(crate) role: Option<Role>,
    /// The region of STS, if it is not the region that the SDK finds.
    pub(crate) region: Option<String>,
}

/// Credentials, with the settings that the SDK found beside them.
#[derive(Debug)]
pub(crate) struct LoadedCredentials {
    pub(crate) identity: Identity,
    /// The region of the environment or the profile.
    pub(crate) region: Option<String>,
    /// The endpoint of `AWS_ENDPOINT_URL_LAMBDA`, `AWS_ENDPOINT_URL` or the profile.
    pub(crate) endpoint: Option<Endpoint>,
    /// The variant of a region's endpoint that the environment or the profile selects.
    pub(crate) variant: Variant,
}

/// The error if loading credentials fails. The text is one sentence with the cure, without anything
/// secret.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LoadError {
    /// The sources did not respond in time.
    #[error(
        "the sources of AWS credentials gave no answer within {LOAD_TIMEOUT:?}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or check that the metadata endpoint, STS or the profile's credential_process answers"
    )]
    Timeout,
    /// No source has credentials.
    #[error(
        "no AWS credentials{} were found{}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to an existing profile, or run the invoker where a role is attached (web identity, ECS, EKS Pod Identity, EC2)",
        .role.as_ref().map(|role| format!(" to assume the role {role} with")).unwrap_or_default(),
        .last_source.as_ref().map(|error| format!(" (the last source says: {error})")).unwrap_or_default()
    )]
    NotFound {
        /// The ARN of the role to assume.
        role: Option<String>,
        /// The error of the metadata service of EC2, which is asked last. The service exists only on EC2.
        last_source: Option<String>,
    },
    /// Assuming the role failed.
    #[error("the role {role} cannot be assumed: {details}; {}", cure(.details))]
    Role {
        /// The ARN of the role.
        role: String,
        /// The SDK's error with its causes.
        details: String,
    },
    /// A source failed.
    #[error("AWS credentials cannot be loaded: {details}; {}", cure(.details))]
    Source {
        /// The SDK's error with its causes.
        details: String,
    },
    /// The credentials contain characters that credentials cannot have.
    #[error(
        "the AWS credentials have a space or a line break in them; remove it where they are set"
    )]
    Whitespace,
    /// The endpoint of the environment or the profile is not valid.
    #[error(
        "AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL or the profile's endpoint_url is \"{0}\", and not a URL without a path such as http://localhost:4566; correct it"
    )]
    Endpoint(String),
}

/// Asks the sources in the SDK's order: environment, profile (with SSO), web identity, ECS and EKS Pod
/// Identity, IMDS. Each call reads all files anew, so that changes take effect.
///
/// # Errors
/// Returns an error if no source has credentials, or if the settings beside them are not valid.
pub(crate) async fn load(key: &CredentialsKey) -> Result<LoadedCredentials, LoadError> {
    let loaded = timeout(LOAD_TIMEOUT, ask_sources(key)).await;
    loaded.unwrap_or(Err(LoadError::Timeout))
}

async fn ask_sources(key: &CredentialsKey) -> Result<LoadedCredentials, LoadError> {
    let http =
        aws_smithy_http_client::Builder::new().build_with_connector_fn(|settings, runtime| {
            let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            if let Some(runtime) = runtime {
                connector.set_sleep_impl(runtime.sleep_impl());
            }
            let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
            connector.build()
        });
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http);
    if let Some(region) = &key.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let sdk = loader.load().await;
    let endpoint = endpoint(&sdk)?;
    let credentials = match &key.role {
        None => provided(sdk.credentials_provider()).await,
        Some(role) => {
            let mut provider = AssumeRoleProvider::builder(&role.arn)
                .configure(&sdk)
                .session_name(&role.session_name);
            if let Some(id) = &role.external_id {
                provider = provider.external_id(id);
            }
            provided(Some(provider.build().await)).await
        }
    };
    let credentials = credentials.map_err(|error| explain(&error, key))?;
    if !is_clean(&credentials) {
        return Err(LoadError::Whitespace);
    }
    let region = sdk.region();
    Ok(LoadedCredentials {
        identity: Identity::new(credentials),
        // The region is empty if its variable is.
        region: region.and_then(|region| scalar::region(region.as_ref())),
        endpoint,
        variant: Variant {
            fips: sdk.use_fips().unwrap_or_default(),
            dual_stack: sdk.use_dual_stack().unwrap_or_default(),
        },
    })
}

async fn provided(
    provider: Option<impl ProvideCredentials>,
) -> Result<Credentials, CredentialsError> {
    match provider {
        Some(provider) => provider.provide_credentials().await,
        None => Err(CredentialsError::not_loaded_no_source()),
    }
}

/// Returns whether the credentials contain only characters that credentials can have. A Kubernetes secret
/// that was made of a file often ends in a line break.
fn is_clean(credentials: &Credentials) -> bool {
    let key = [credentials.access_key_id(), credentials.secret_access_key()];
    let mut texts = key.into_iter().chain(credentials.session_token());
    texts.all(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Returns the endpoint that the environment or the profile sets.
///
/// Source: "Service-specific endpoints" in the AWS SDKs and Tools reference guide.
fn endpoint(sdk: &SdkConfig) -> Result<Option<Endpoint>, LoadError> {
    let key = ServiceConfigKey::builder()
        .service_id("Lambda")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = key
        .ok()
        .and_then(|key| sdk.service_config()?.load_config(key));
    let Some(url) = own.or_else(|| sdk.endpoint_url().map(str::to_owned)) else {
        return Ok(None);
    };
    let endpoint = scalar::endpoint(&url);
    endpoint.map(Some).ok_or(LoadError::Endpoint(url))
}

/// The cures of errors, by words in their text. The first match counts. The text decides because few
/// sources have errors of a type of their own.
const CURES: [(&[&str], &str); 8] = [
    (
        &["Signature expired", "Signature not yet current"],
        "this machine's clock is wrong; set it, for example by NTP",
    ),
    (
        &[
            "ExpiredToken",
            "expired",
            "SSO token",
            "sso/cache",
            "access token",
            "UnauthorizedException",
        ],
        "sign in again, for example with `aws sso login`, or set new credentials",
    ),
    (
        &["credentials-login"],
        "only the AWS CLI can use the sessions of `aws login`: use a profile with `credential_process = aws configure export-credentials --profile NAME`, where NAME is this profile",
    ),
    (
        &["AccessDenied", "InvalidIdentityToken"],
        "check that the role exists, that its trust policy names the caller and the external id, and that the caller may sts:AssumeRole",
    ),
    (
        &[
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClient",
        ],
        "AWS does not know the credentials that assume the role; correct the access key",
    ),
    (&["region", "Region"], "set `aws.region` or AWS_REGION"),
    (
        &["dispatch failure", "timeout"],
        "check that it can be reached from here",
    ),
    (
        &["No such file", "Permission denied"],
        "check that the file that AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or the profile names exists and can be read",
    ),
];

fn has(details: &str, words: &[&str]) -> bool {
    words.iter().any(|word| details.contains(word))
}

fn cure(details: &str) -> &'static str {
    let cure = CURES.iter().find(|(words, _)| has(details, words));
    cure.map_or(
        "correct the profile, or the environment variables that name the source",
        |(_, cure)| cure,
    )
}

fn explain(error: &CredentialsError, key: &CredentialsKey) -> LoadError {
    // The outermost error says only that there is a cause.
    let details = chain(error.source().unwrap_or(error));
    let role = key.role.as_ref().map(|role| role.arn.clone());
    let is_imds = has(&details, &["IMDS"]);
    let is_none = matches!(error, CredentialsError::CredentialsNotLoaded(_))
        || has(&details, &["no providers in chain"]);
    match role {
        role if is_imds || is_none => LoadError::NotFound {
            role,
            last_source: is_imds.then_some(details),
        },
        Some(role) => LoadError::Role { role, details },
        None => LoadError::Source { details },
    }
}

/// Returns an error with its causes on one line. The SDK repeats causes; here each occurs once. If one of them is
/// what AWS itself says, that is all.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = error.downcast_ref::<ErrorMetadata>()
            && let (Some(code), Some(message)) = (known.code(), known.message())
        {
            texts = vec![format!("{code}: {message}")];
            break;
        }
        let text = error.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_cure() {
        let key = CredentialsKey {
            role: None,
            region: None,
        };
        let explain =
            |text: &str| explain(&CredentialsError::provider_error(text), &key).to_string();
        for (text, cure) in [
            ("Signature expired: x is now earlier than y", "clock"),
            ("unhandled error (ExpiredToken)", "aws sso login"),
            ("failed to load the cached SSO token", "aws sso login"),
            ("failed to read `/h/.aws/sso/cache/0.json`", "aws sso login"),
            ("UnauthorizedException: not valid", "aws sso login"),
            ("enable `credentials-login`", "export-credentials"),
            ("No such file or directory", "TOKEN_FILE"),
            ("unhandled error (AccessDenied)", "trust policy"),
            ("InvalidClientTokenId", "access key"),
            ("dispatch failure: Connection refused", "reached"),
            ("could not parse profile file", "correct the profile"),
            ("failed to load IMDS session token", "AWS_ACCESS_KEY_ID"),
        ] {
            let sentence = explain(text);
            assert!(
                sentence.contains(cure) && sentence.contains(text),
                "{sentence}"
            );
        }
        let denied = ErrorMetadata::builder()
            .code("AccessDenied")
            .message("User: a is not authorized")
            .build();
        let denied = CredentialsError::provider_error(denied);
        let denied = super::explain(&denied, &key).to_string();
        let expected =
            "AWS credentials cannot be loaded: AccessDenied: User: a is not authorized; check that";
        assert!(denied.starts_with(expected), "{denied}");
        let none = super::explain(&CredentialsError::not_loaded_no_source(), &key).to_string();
        assert!(
            none.starts_with("no AWS credentials were found; set"),
            "{none}"
        );
    }
}
