//! The reason of a failure in one sentence, and the source of the rule behind it.

use lambda_filter_core::Error;
use serde_json::{Value, json};

use crate::invoke_api::error::ServiceError;
use crate::invoke_api::failure::{error_type, function_failure, service_message};

/// A page of AWS's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    title: &'static str,
    url: &'static str,
}

/// The reason of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) sentence: String,
    source: Option<Source>,
}

/// Makes the table of sources.
macro_rules! sources {
    ($($name:ident: $title:literal, $url:literal;)+) => {
        $(const $name: Source = Source { title: $title, url: $url };)+

        #[cfg(test)]
        const ALL: &[Source] = &[$($name),+];
    };
}

sources! {
    INVOKE: "Invoke, Lambda API reference",
        "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html";
    QUOTAS: "Lambda quotas",
        "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
    CONCURRENCY: "Understanding Lambda function scaling",
        "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html";
    TIMEOUT: "Configure Lambda function timeout",
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html";
    RETRIES: "Understanding retry behavior in Lambda",
        "https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html";
    CREDENTIALS: "Credential configuration of AWS SDKs",
        "https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html";
    PERMISSIONS: "Access permissions for applications that call Lambda",
        "https://docs.aws.amazon.com/lambda/latest/dg/lambda-permissions.html";
    STREAMING: "Response streaming for Lambda functions",
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html";
    REST_API: "Output format of a Lambda function for proxy integration",
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html";
    HTTP_API: "Lambda function response for format 2.0",
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html";
    FUNCTION_URL: "Response payload format of Function URLs",
        "https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html";
    LOAD_BALANCER: "Respond to the load balancer",
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html";
    VPC_LATTICE: "Respond to the VPC Lattice service",
        "https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html";
}

impl Why {
    fn new(sentence: impl Into<String>, source: Option<Source>) -> Self {
        Self {
            sentence: sentence.into(),
            source,
        }
    }

    /// Returns the reason for which the invoker did not run the function.
    pub(super) fn of_service(error: &ServiceError) -> Self {
        let source = match error {
            ServiceError::TooManyRequests | ServiceError::ReservedConcurrencyExceeded => {
                Some(CONCURRENCY)
            }
            ServiceError::RequestTooLarge
            | ServiceError::EventTooLarge { .. }
            | ServiceError::EmulatorResponseTooLarge => Some(QUOTAS),
            ServiceError::AwsTimeout(_) | ServiceError::EmulatorTimeout(_) => Some(TIMEOUT),
            ServiceError::NoCredentials
            | ServiceError::CredentialsRefused { .. }
            | ServiceError::AwsUnavailable(_) => Some(CREDENTIALS),
            ServiceError::AccessDenied(_)
            | ServiceError::Refused(_)
            | ServiceError::Signature(_) => Some(PERMISSIONS),
            ServiceError::InvalidName { .. }
            | ServiceError::InvalidParameter(_)
            | ServiceError::InvalidRequestContent(_)
            | ServiceError::InvalidJson(_)
            | ServiceError::FunctionNotFound { .. } => Some(INVOKE),
            _ => None,
        };
        let sentence = match error {
            // The operator sees the cause, which the caller does not.
            ServiceError::CredentialsRefused { cause, .. }
            | ServiceError::AwsUnavailable(cause) => cause.clone(),
            ServiceError::TooManyRequests | ServiceError::ReservedConcurrencyExceeded => {
                "the function is busy: as many invocations run as its `concurrency` allows, and its `queue` is full or \
                 the wait was too long"
                    .to_owned()
            }
            error => error.to_string(),
        };
        Self::new(sentence, source)
    }

    /// Returns the reason for which the client gets an error. `format` is the event format of the route.
    pub(super) fn of_filter(error: &Error, format: &str, body: &[u8]) -> Self {
        let source = match error {
            Error::Function { payload } if is_timeout(payload) => Some(TIMEOUT),
            Error::Function { .. } => Some(RETRIES),
            Error::InvalidResponse(_) => match format {
                "apigateway-v1" => Some(REST_API),
                "apigateway-v2" => Some(HTTP_API),
                "function-url" => Some(FUNCTION_URL),
                "alb" | "alb-multi-value" => Some(LOAD_BALANCER),
                "vpc-lattice-v1" | "vpc-lattice-v2" => Some(VPC_LATTICE),
                _ => None,
            },
            Error::Stream(_) => Some(STREAMING),
            Error::EventTooLarge { .. } => Some(QUOTAS),
            Error::Service { status: 429, .. } => Some(CONCURRENCY),
            Error::Service { status: 403, .. } => Some(PERMISSIONS),
            Error::Service { .. } => Some(INVOKE),
            _ => None,
        };
        let sentence = match error {
            Error::Function { payload } => function_failure(payload),
            Error::Service { .. } => match service_message(body) {
                Some(message) => format!("{error}: {message}"),
                None => error.to_string(),
            },
            error => error.to_string(),
        };
        Self::new(sentence, source)
    }

    /// Returns a reason that no rule has.
    pub(super) fn plain(sentence: &str) -> Self {
        Self::new(sentence, None)
    }

    /// Returns the reason as JSON.
    pub(super) fn json(&self, mask: impl Fn(&str) -> String) -> Value {
        let source = self
            .source
            .map(|Source { title, url }| json!({ "title": title, "url": url }));
        json!({ "sentence": mask(&self.sentence), "source": source })
    }
}

/// Returns whether the payload of a function error is that of a time limit.
pub(super) fn is_timeout(payload: &[u8]) -> bool {
    error_type(payload).as_deref() == Some("Sandbox.Timedout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_pages_of_aws() {
        for source in ALL {
            assert!(
                source.url.starts_with("https://docs.aws.amazon.com/"),
                "{}",
                source.url
            );
            assert!(!source.title.is_empty());
        }
    }

    #[test]
    fn a_malformed_payload_names_the_rule_of_its_format() {
        let error = Error::InvalidResponse("it has no `statusCode`".to_owned());
        let why = Why::of_filter(&error, "alb", b"");
        assert_eq!(
            why.sentence,
            "the function's answer is not valid: it has no `statusCode`"
        );
        assert_eq!(why.source, Some(LOAD_BALANCER));
        assert_eq!(Why::of_filter(&error, "raw", b"").source, None);
    }

    #[test]
    fn a_function_error_is_told_without_its_stack_trace() {
        let payload = br#"{"errorType":"KeyError","errorMessage":"'id'\nx","stackTrace":["a"]}"#;
        let error = Error::Function {
            payload: payload.to_vec(),
        };
        let why = Why::of_filter(&error, "alb", b"");
        assert_eq!(why.sentence, r"the function failed: KeyError: 'id'\nx");
    }
}
