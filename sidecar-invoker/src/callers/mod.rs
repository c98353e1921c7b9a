//! The callers of the invoker: the proof of a caller, and the functions that it may invoke.
//!
//! A call that gives no proof is refused before a byte of its body is read. Only the signature of an
//! access key covers the body, so that a signed body is read first.

mod client_cert;
mod secrets;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use lambda_api::FunctionName;
use tokio_util::sync::CancellationToken;

use crate::config::{FunctionPatterns, KnownCallers};
use crate::invoke_api::error::{RefusedCaller, ServiceError};
use crate::invoke_api::headers as header;
use crate::invoke_api::request::RequestBody;
use crate::sigv4::{Digest, Signature, SignatureError};
use crate::util::{LogLimit, lock};

pub use secrets::SecretError;
use secrets::Secrets;
pub(crate) use secrets::read_secret;

/// The time between two looks at the files of secrets.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The callers that the configuration admits.
pub(crate) struct Callers {
    config: KnownCallers,
    secrets: Mutex<Arc<Secrets>>,
    clock: fn() -> SystemTime,
    warnings: LogLimit,
}

/// A caller that gave its proof, with all lists that must have a function before it may be invoked. A
/// list has several patterns if several entries match.
pub(crate) struct Admitted<'c> {
    /// The functions of the proof.
    proof: Vec<&'c FunctionPatterns>,
    /// The functions of the identity, if identities count, and the caller's URI.
    identity: Option<(Vec<&'c FunctionPatterns>, String)>,
}

impl Callers {
    /// Reads the secrets of the callers.
    ///
    /// # Errors
    /// Returns an error if a secret is missing or not valid.
    pub(crate) fn new(
        config: KnownCallers,
        clock: fn() -> SystemTime,
    ) -> Result<Self, SecretError> {
        let secrets = Mutex::new(Arc::new(Secrets::read(&config)?));
        Ok(Self {
            config,
            secrets,
            clock,
            warnings: LogLimit::new(),
        })
    }

    /// Reads the files of secrets again and again until `stop` is cancelled. A file that cannot be used
    /// changes nothing.
    pub(crate) async fn refresh(self: Arc<Self>, stop: CancellationToken) {
        if !Secrets::has_files(&self.config) {
            return;
        }
        let mut interval = tokio::time::interval(REFRESH_INTERVAL);
        let warnings = LogLimit::new();
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let callers = Arc::clone(&self);
            // A file on a hanging network share would block this thread.
            let read = tokio::task::spawn_blocking(move || Secrets::read(&callers.config));
            match read.await {
                Ok(Ok(new)) => {
                    let mut secrets = lock(&self.secrets);
                    if **secrets != new {
                        *secrets = Arc::new(new);
                        tracing::info!("the secrets of `callers` have changed");
                    }
                }
                Ok(Err(error)) => {
                    if let Some(left_out) = warnings.admit() {
                        tracing::warn!(
                            "callers: {error}; the previous secrets of `callers` stay in force{left_out}"
                        );
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// Checks the proof of a caller. Reads the body if the caller signs.
    ///
    /// # Errors
    /// Returns an error if the caller is not one of the configuration's.
    pub(crate) async fn admit(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Admitted<'_>, ServiceError> {
        let admitted = self.prove(parts, body).await;
        if let Err(error) = &admitted
            && error.status() == hyper::StatusCode::FORBIDDEN
            && let Some(left_out) = self.warnings.admit()
        {
            tracing::warn!("a caller was refused: {error}{left_out}");
        }
        admitted
    }

    async fn prove(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Admitted<'_>, ServiceError> {
        let identity = self.identity(&parts.headers)?;
        let KnownCallers {
            filters,
            access_keys,
            ..
        } = &self.config;
        let secrets = Arc::clone(&lock(&self.secrets));
        let proof = if let Some(secret) = secret(&parts.headers)? {
            let known = secrets.filters(secret);
            let known = filters.iter().zip(known).filter(|(_, known)| *known);
            let known: Vec<_> = known.map(|(filter, _)| &filter.functions).collect();
            if known.is_empty() {
                return Err(RefusedCaller::Secret.into());
            }
            known
        } else if Signature::is_in(&parts.headers) && !access_keys.is_empty() {
            let index = self.verify(parts, body, &secrets).await?;
            let key = access_keys.get(index);
            key.map(|key| &key.functions).into_iter().collect()
        } else if filters.is_empty() && access_keys.is_empty() {
            Vec::new()
        } else {
            return Err(RefusedCaller::NoProof.into());
        };
        Ok(Admitted { proof, identity })
    }

    /// Verifies the signature of a request, and returns the number of its access key.
    async fn verify(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        secrets: &Secrets,
    ) -> Result<usize, ServiceError> {
        if parts.headers.contains_key(header::INVOCATION) {
            // The signature covers another request than the one in this header.
            return Err(RefusedCaller::SignedHeader.into());
        }
        let signature = Signature::read(&parts.headers, (self.clock)())?;
        let id = signature.access_key_id;
        let index = self.config.access_keys.iter().position(|key| key.id == id);
        let index = index.ok_or(RefusedCaller::AccessKey)?;
        let identity = secrets.access_key(index).ok_or(RefusedCaller::AccessKey)?;
        if let Some(payload) = &signature.payload {
            signature.verify(parts, payload, identity)?;
        }
        let event = body.read().await?;
        let digest = hashed(&event).await?;
        match signature.payload {
            Some(payload) if payload == digest => {}
            Some(_) => return Err(SignatureError::Mismatch.into()),
            None => signature.verify(parts, &digest, identity)?,
        }
        body.event = Some(event);
        Ok(index)
    }

    /// Returns the functions of the caller's identity, if identities count.
    fn identity(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Vec<&FunctionPatterns>, String)>, ServiceError> {
        if self.config.identities.is_empty() {
            return Ok(None);
        }
        let uris = client_cert::uris(headers).unwrap_or_default();
        let known = self.config.identities.iter();
        let known = known.filter(|known| uris.iter().any(|uri| known.uri.matches(uri)));
        let functions: Vec<_> = known.map(|known| &known.functions).collect();
        match (uris.into_iter().next(), functions.is_empty()) {
            (None, _) => Err(RefusedCaller::NoIdentity.into()),
            (Some(uri), true) => Err(RefusedCaller::Identity(uri).into()),
            (Some(uri), false) => Ok(Some((functions, uri))),
        }
    }
}

impl Admitted<'_> {
    /// Checks that the caller may invoke a function.
    ///
    /// # Errors
    /// Returns an error if it may not.
    pub(crate) fn may_invoke(&self, name: &FunctionName) -> Result<(), ServiceError> {
        let has = |lists: &[&FunctionPatterns]| lists.iter().any(|list| list.matches(name));
        let refused = |caller: &str| {
            let (caller, function) = (caller.to_owned(), name.clone());
            Err(RefusedCaller::Function { caller, function }.into())
        };
        match &self.identity {
            Some((functions, uri)) if !has(functions) => refused(uri),
            _ if !self.proof.is_empty() && !has(&self.proof) => refused("this caller"),
            _ => Ok(()),
        }
    }
}

/// Returns the secret of a request. A client of the filter cannot add one.
fn secret(headers: &HeaderMap) -> Result<Option<&[u8]>, ServiceError> {
    let mut values = headers.get_all(header::SECRET).iter();
    let secret = values.next().map(HeaderValue::as_bytes);
    match values.next() {
        // The filter sets an empty value if it has no secret, but its client sent one.
        None => Ok(secret.filter(|secret| !secret.is_empty())),
        Some(_) => Err(RefusedCaller::Secret.into()),
    }
}

async fn hashed(event: &Bytes) -> Result<Digest, ServiceError> {
    let digest = Digest::of_payload(event).await;
    digest.ok_or(ServiceError::ShuttingDown)
}
