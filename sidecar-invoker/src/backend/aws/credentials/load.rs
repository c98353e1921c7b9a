//! Credentials and region as the AWS SDK finds them, and its errors in plain words.

use std::error::Error;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::service_config::ServiceConfigKey;
use tokio::time::timeout;

use crate::backend::aws::endpoint::Variant;
use crate::config::yaml::scalar;
use crate::config::{Endpoint, Role};

/// The longest that all sources together may take.
pub(crate) const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// Whose credentials are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CredentialsKey {
    /// The role to assume with what the SDK finds.
    pub(crate) role: Option<Role>,
    /// The region of STS, instead of the one that the SDK finds.
    pub(crate) region: Option<String>,
}

/// What the SDK found.
pub(crate) struct LoadedCredentials {
    pub(crate) credentials: Credentials,
    pub(crate) region: Option<String>,
    /// `AWS_ENDPOINT_URL_LAMBDA` or `AWS_ENDPOINT_URL`, or the profile's counterpart.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) variant: Variant,
}

/// Asks every source in the SDK's order: environment, profile (with SSO), web identity, ECS and EKS
/// Pod Identity, IMDS. What was found before is not reused, so that changed files show.
///
/// # Errors
/// One sentence with the cure.
pub(crate) async fn load(key: &CredentialsKey) -> Result<LoadedCredentials, String> {
    let found = timeout(LOAD_LIMIT, find(key)).await;
    found.unwrap_or_else(|_| {
        Err(format!(
            "the sources of AWS credentials gave no answer within {LOAD_LIMIT:?}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or see that the metadata endpoint or STS can be reached"
        ))
    })
}

async fn find(key: &CredentialsKey) -> Result<LoadedCredentials, String> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
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
        return Err(
            "the AWS credentials have a space or a line break in them; remove it where they are set"
                .to_owned(),
        );
    }
    Ok(LoadedCredentials {
        credentials,
        // An empty variable is as none.
        region: sdk
            .region()
            .and_then(|region| scalar::region(region.as_ref())),
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

/// Whether nothing but what can be in them is in them: a secret of Kubernetes that was made of a file,
/// say, ends in a line break.
fn is_clean(credentials: &Credentials) -> bool {
    let key = [credentials.access_key_id(), credentials.secret_access_key()];
    let mut texts = key.into_iter().chain(credentials.session_token());
    texts.all(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Source: "Service-specific endpoints" in the AWS SDKs and Tools reference guide.
fn endpoint(sdk: &SdkConfig) -> Result<Option<Endpoint>, String> {
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
    scalar::endpoint(&url).map(Some).ok_or_else(|| {
        format!(
            "AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL or the profile's endpoint_url is \"{url}\", and not a URL without a path such as http://localhost:4566; correct it"
        )
    })
}

/// What cures an error, by words of its text; the first that fits. Few sources have errors that can
/// be told apart by their type.
const CURES: [(&[&str], &str); 9] = [
    (
        &["Signature expired", "Signature not yet current"],
        "this machine's clock is wrong; set it, by NTP say",
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
        "sign in again, with `aws sso login` say, or set new credentials",
    ),
    (
        &["credentials-login"],
        "the sessions of `aws login` are the AWS CLI's own: name a profile with `credential_process = aws configure export-credentials --profile NAME`, where NAME is this one",
    ),
    (
        &["AccessDenied", "InvalidIdentityToken"],
        "see that the role exists, that its trust policy names who asks and the external id, and that who asks may sts:AssumeRole",
    ),
    (
        &[
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClient",
        ],
        "AWS does not know the credentials to begin with; correct the access key",
    ),
    (&["region", "Region"], "set `aws.region` or AWS_REGION"),
    (
        &["dispatch failure", "timeout"],
        "see that it can be reached from here",
    ),
    (
        &["No such file", "Permission denied"],
        "see that the file is there and can be read that AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or the profile names",
    ),
    (
        &[],
        "correct the profile or the environment variables that say where they are",
    ),
];

/// What went wrong and what to do, without anything secret.
fn explain(error: &CredentialsError, key: &CredentialsKey) -> String {
    // The outermost says nothing but that there is a cause.
    let details = chain(error.source().unwrap_or(error));
    let has = |words: &[&str]| words.iter().any(|word| details.contains(word));
    // The metadata service of EC2 is asked last, and off EC2 there is none.
    let last = match has(&["IMDS"]) {
        true => format!(" (the last source says: {details})"),
        false => String::new(),
    };
    let is_none = matches!(error, CredentialsError::CredentialsNotLoaded(_))
        || has(&["IMDS", "no providers in chain"]);
    if is_none {
        let role = key
            .role
            .as_ref()
            .map(|role| format!(" to assume the role {} with", role.arn));
        let role = role.unwrap_or_default();
        return format!(
            "no AWS credentials{role} were found{last}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile that there is, or run the invoker where a role is attached (web identity, ECS, EKS Pod Identity, EC2)"
        );
    }
    let cure = CURES
        .iter()
        .find(|(words, _)| words.is_empty() || has(words));
    let cure = cure.map_or("", |(_, cure)| cure);
    match &key.role {
        Some(role) => format!("the role {} cannot be assumed: {details}; {cure}", role.arn),
        None => format!("AWS credentials cannot be loaded: {details}; {cure}"),
    }
}

/// An error and its causes, each once, on one line.
fn chain(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
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
        let explain = |text: &str| explain(&CredentialsError::provider_error(text), &key);
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
        let none = super::explain(&CredentialsError::not_loaded_no_source(), &key);
        assert!(
            none.starts_with("no AWS credentials were found; set"),
            "{none}"
        );
    }
}
