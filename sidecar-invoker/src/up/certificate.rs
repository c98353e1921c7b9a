//! The certificate of this machine, for HTTPS without one of the user's own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType,
};
use time::OffsetDateTime;

use crate::envoy_config::Tls;

/// The time for which a certificate is valid. Browsers accept no server certificate for longer.
const VALIDITY: Duration = Duration::from_secs(397 * 24 * 3_600);
/// The age at which a certificate is replaced.
const MAX_AGE: Duration = Duration::from_secs(365 * 24 * 3_600);
/// The difference that the clocks of two machines may have.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// The error if there is no certificate. The text has the cure.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The user has no folder for data.
    #[error(
        "neither XDG_DATA_HOME nor HOME is set, so there is no place for a certificate; name one with --tls-cert and --tls-key"
    )]
    NoFolder,
    /// A file of the certificate cannot be written.
    #[error("{}: {error}; name a certificate with --tls-cert and --tls-key", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The certificate cannot be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Returns the certificate of this machine, for `localhost`, `*.localhost` and the machine's own name. It is
/// made at the first call and kept for a year, so that a browser need trust it only once.
///
/// # Errors
/// Returns an error if the certificate cannot be made or kept.
pub fn of_this_machine() -> Result<Tls, CertificateError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = variable("XDG_DATA_HOME").map(PathBuf::from);
    let home = || variable("HOME").map(|home| Path::new(&home).join(".local/share"));
    let data = data.or_else(home).ok_or(CertificateError::NoFolder)?;
    in_folder(&data.join("lambda-mesh/tls"), SystemTime::now())
}

fn in_folder(folder: &Path, now: SystemTime) -> Result<Tls, CertificateError> {
    let tls = Tls {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    let age = |path: &Path| {
        now.duration_since(fs::metadata(path)?.modified()?)
            .map_err(io::Error::other)
    };
    let is_young = |path: &Path| age(path).is_ok_and(|age| age < MAX_AGE);
    if is_young(&tls.certificate) && is_young(&tls.key) {
        return Ok(tls);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| CertificateError::File { path, error }
    };
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed(folder))?;
    let (certificate, key) = make(now)?;
    write(&tls.key, &key).map_err(failed(&tls.key))?;
    write(&tls.certificate, &certificate).map_err(failed(&tls.certificate))?;
    Ok(tls)
}

/// Writes a file that only the user can read. It appears whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

/// Returns a certificate that has signed itself, and its key.
fn make(now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let mut names = vec!["localhost".to_owned(), "*.localhost".to_owned()];
    names.extend(machine_name());
    let mut params = CertificateParams::new(names)?;
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    params
        .subject_alt_names
        .extend(loopback.map(SanType::IpAddress));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "lambda-mesh on this machine");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
    params.not_after = OffsetDateTime::from(now - CLOCK_SKEW + VALIDITY);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn machine_name() -> Option<String> {
    let name = fs::read_to_string("/etc/hostname").ok()?;
    let name = name.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_kept_for_a_year_and_only_its_user_can_read_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        let now = SystemTime::now();
        let read = |tls: &Tls| fs::read_to_string(&tls.certificate).unwrap();
        let first = in_folder(&folder, now).unwrap();
        let mode = fs::metadata(&first.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = read(&first);
        // On a busy machine the files are younger than `now`.
        let again = in_folder(&folder, SystemTime::now()).unwrap();
        assert_eq!(read(&again), text);
        let later = in_folder(&folder, now + MAX_AGE + Duration::from_secs(60)).unwrap();
        assert_ne!(read(&later), text);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_the_cure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = in_folder(&file.path().join("a"), SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("--tls-cert"), "{error}");
    }
}
