//! The secrets of callers, from the environment and from files.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_credential_types::Credentials;
use lambda_api::secret;
use subtle::{Choice, ConstantTimeEq};

use crate::config::{KnownCallers, SecretSource};
use crate::sigv4::Identity;

/// The secrets of all callers, in the order of the configuration.
pub(super) struct Secrets {
    filters: Vec<Vec<Secret>>,
    access_keys: Vec<(Secret, Identity)>,
}

/// A secret. Debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        let keys = |secrets: &Self| -> Vec<Secret> {
            let keys = secrets.access_keys.iter();
            keys.map(|(secret, _)| secret.clone()).collect()
        };
        self.filters == other.filters && keys(self) == keys(other)
    }
}

/// The error if a secret cannot be used. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set.
    #[error(
        "the environment variable {0} is not set; put a secret into it, such as one of `openssl rand -hex 32`"
    )]
    NoVariable(String),
    /// The file cannot be read.
    #[error("the secret in {} cannot be read: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The text is too short to be a secret, or has characters that no header can have.
    #[error(
        "{0} holds no secret of 32 to 256 visible ASCII characters; make one with `openssl rand -hex 32`"
    )]
    NotASecret(String),
}

impl Secrets {
    /// Reads the secrets.
    pub(super) fn read(config: &KnownCallers) -> Result<Self, SecretError> {
        let filter = |sources: &[SecretSource]| sources.iter().map(read).collect();
        let filters = config.filters.iter().map(|caller| filter(&caller.secrets));
        let access_keys = config.access_keys.iter().map(|caller| {
            let secret = read(&caller.secret)?;
            let credentials = Credentials::new(&caller.id, &secret.0, None, None, "callers");
            Ok((secret, Identity::new(credentials)))
        });
        Ok(Self {
            filters: filters.collect::<Result<_, _>>()?,
            access_keys: access_keys.collect::<Result<_, SecretError>>()?,
        })
    }

    /// Returns whether a secret can change while the invoker runs.
    pub(super) fn has_files(config: &KnownCallers) -> bool {
        let mut sources = config.secrets();
        sources.any(|source| matches!(source, SecretSource::File(_)))
    }

    /// Returns for each entry of `filters` whether `presented` is one of its secrets. The time that this
    /// takes does not depend on the content of a secret.
    pub(super) fn filters(&self, presented: &[u8]) -> Vec<bool> {
        let is_known = |secrets: &Vec<Secret>| {
            let known = secrets.iter().fold(Choice::from(0), |known, secret| {
                known | secret.0.as_bytes().ct_eq(presented)
            });
            bool::from(known)
        };
        self.filters.iter().map(is_known).collect()
    }

    /// Returns the access key with this number.
    pub(super) fn access_key(&self, index: usize) -> Option<&Identity> {
        self.access_keys.get(index).map(|(_, identity)| identity)
    }
}

/// Reads a secret for another purpose than a caller's. Its text must not be shown.
///
/// # Errors
/// Returns an error if the secret is missing or not valid.
pub(crate) fn read_secret(source: &SecretSource) -> Result<String, SecretError> {
    read(source).map(|secret| secret.0)
}

/// Reads a secret. Space around it does not count, since editors end a file with a line break.
fn read(source: &SecretSource) -> Result<Secret, SecretError> {
    let (text, place) = match source {
        SecretSource::Env(name) => {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| SecretError::NoVariable(name.clone()))?;
            let text = value.into_string().map_err(OsString::into_encoded_bytes);
            (
                text.map_err(drop),
                format!("the environment variable {name}"),
            )
        }
        SecretSource::File(path) => {
            let bytes = std::fs::read(path).map_err(|error| SecretError::File {
                path: path.clone(),
                error,
            })?;
            (
                String::from_utf8(bytes).map_err(drop),
                path.display().to_string(),
            )
        }
    };
    let text = text.ok().map(|text| text.trim().to_owned());
    let text = text.filter(|text| secret::is_valid(text));
    text.map(Secret).ok_or(SecretError::NotASecret(place))
}

#[cfg(test)]
mod tests {
    use crate::config::{FilterCaller, FunctionPatterns};

    use super::*;

    fn read_file(content: &[u8]) -> Result<Secrets, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        Secrets::read(&KnownCallers {
            filters: vec![FilterCaller {
                secrets: vec![SecretSource::File(path)],
                functions: FunctionPatterns::all(),
            }],
            ..KnownCallers::default()
        })
    }

    #[test]
    fn only_the_whole_secret_is_known() {
        let secret = [b's'; 32];
        for content in [&secret[..], &[&secret[..], b"\n"].concat()] {
            let secrets = read_file(content).unwrap();
            assert_eq!(secrets.filters(&secret), [true]);
            for other in [&b""[..], b"-", &secret[1..], &[b's'; 33], &[b't'; 32]] {
                assert_eq!(secrets.filters(other), [false]);
            }
        }
    }

    #[test]
    fn an_error_does_not_show_the_content() {
        for content in [
            &b"hunter2"[..],
            b"",
            b"\xff",
            b"hunter2 hunter2 hunter2 hunter2 hunter2",
        ] {
            let error = read_file(content).err().unwrap().to_string();
            assert!(error.contains("openssl rand -hex 32"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", Secret("hunter2".to_owned())).contains("hunter2"));
    }
}
