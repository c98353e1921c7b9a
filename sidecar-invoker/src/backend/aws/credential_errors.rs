//! The errors with which AWS refuses credentials, in plain words.

use lambda_api::log_line::single_line;

/// The names of errors that mean that AWS does not accept the credentials.
///
/// Source: "Common Errors" in the AWS Lambda API reference, and observed responses.
const NAMES: [&str; 6] = [
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
];

/// Returns the name of the error if it is one of [`NAMES`].
pub(crate) fn name(error_type: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| *name == error_type)
}

/// Returns a sentence with the cause and the cure. It does not repeat AWS's `message`, which may contain
/// the session token, except for the comparison of times.
pub(crate) fn explain(name: &str, message: &str) -> String {
    let is_late =
        message.starts_with("Signature expired") || message.starts_with("Signature not yet");
    match name {
        "RequestExpired" => CLOCK.to_owned(),
        "InvalidSignatureException" if is_late => format!("{CLOCK} (AWS says: {})", single_line(message)),
        "ExpiredTokenException" => {
            "the AWS credentials have expired; sign in again, for example with `aws sso login`, or set new ones".to_owned()
        }
        "UnrecognizedClientException" => {
            "AWS does not know the access key or the session token; correct the credentials, or enable the region for the account".to_owned()
        }
        _ => format!("AWS refuses the signature ({name}): the secret access key does not belong to the access key, or something on the way changes requests; correct the credentials"),
    }
}

const CLOCK: &str =
    "this machine's clock is wrong, so that AWS refuses its signatures; set it, for example by NTP";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let explain = |message: &str| explain("InvalidSignatureException", message);
        let late = "Signature expired: 20261121T000000Z is now earlier than 20261121T001000Z (20261121T001500Z - 5 min.)";
        assert!(explain(late).contains("clock"));
        assert!(explain(late).contains(late));
        assert!(explain("Signature expired: a\nb").contains(r"a\nb"));
        assert!(explain("Signature not yet current: x").contains("clock"));
        let wrong = "The request signature we calculated does not match. The Canonical String should have been x-amz-security-token:SECRET";
        assert!(explain(wrong).contains("secret access key"));
        assert!(!explain(wrong).contains("SECRET"));
    }
}
