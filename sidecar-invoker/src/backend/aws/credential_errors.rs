//! How AWS says that it does not accept the credentials, in plain words.

/// The names of errors that are the credentials' fault, whatever is asked for.
///
/// Source: "Common Errors" in the AWS Lambda API reference, and what AWS answers.
const NAMES: [&str; 6] = [
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
];

/// The error of this name, if it is one of the credentials.
pub(crate) fn name(error_type: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| *name == error_type)
}

/// What is wrong and what to do about it. Nothing of AWS's `message` is repeated but its comparison
/// of the times, since it may hold the token.
pub(crate) fn explain(name: &str, message: &str) -> String {
    let is_late =
        message.starts_with("Signature expired") || message.starts_with("Signature not yet");
    match name {
        "RequestExpired" => CLOCK.to_owned(),
        "InvalidSignatureException" if is_late => format!("{CLOCK} (AWS says: {message})"),
        "ExpiredTokenException" => {
            "the AWS credentials have expired; sign in again, with `aws sso login` say, or set new ones".to_owned()
        }
        "UnrecognizedClientException" => {
            "AWS does not know the access key or the session token; correct the credentials, or enable the region for the account".to_owned()
        }
        _ => format!("AWS refuses the signature ({name}): the secret access key does not belong to the access key, or something on the way changes requests; correct the credentials"),
    }
}

const CLOCK: &str =
    "this machine's clock is wrong, so that AWS refuses its signatures; set it, by NTP say";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let explain = |message: &str| explain("InvalidSignatureException", message);
        let late = "Signature expired: 20261121T000000Z is now earlier than 20261121T001000Z (20261121T001500Z - 5 min.)";
        assert!(explain(late).contains("clock"));
        assert!(explain(late).contains(late));
        assert!(explain("Signature not yet current: x").contains("clock"));
        let wrong = "The request signature we calculated does not match. The Canonical String should have been x-amz-security-token:SECRET";
        assert!(explain(wrong).contains("secret access key"));
        assert!(!explain(wrong).contains("SECRET"));
    }
}
