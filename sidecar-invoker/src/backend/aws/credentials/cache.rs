//! Credentials that are loaded before they are needed.
//!
//! They are loaded at the start, and one task per cache renews them well before they expire. The log
//! says once, in plain words, that they are missing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::load::{self, CredentialsKey, LoadError, LoadedCredentials};
use crate::metrics::CredentialTimes;
use crate::util::{Backoff, lock};

/// The time before the expiry at which credentials are renewed, if they last at least twice that long.
/// EC2 and ECS provide new credentials five minutes before the old ones expire.
const LEAD: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The time for which a refusal by AWS makes the invoker unready. Only requests show that AWS accepts
/// the credentials again, and an unready invoker gets none.
const UNREADY_AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// The longest time for which a call waits for the first load, which may take longer: a `credential_process` can ask
/// its user for a code. It is shorter than the timeouts of the shipped routes, so that the caller gets the reason.
const CALLER_WAIT: Duration = Duration::from_secs(10);

/// The reason why invocations fail. The text is one sentence with the cure.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CredentialsProblem {
    /// The credentials are being loaded for the first time.
    #[error("AWS credentials are being loaded")]
    Loading,
    /// Loading the credentials failed.
    #[error(transparent)]
    NotLoaded(#[from] LoadError),
    /// The credentials have expired.
    #[error(
        "the AWS credentials have expired, or this machine's clock is wrong; sign in again, for example with `aws sso login`, or set new ones"
    )]
    Expired,
    /// A function has no region of its own, and the SDK found none.
    #[error(
        "no AWS region is known; set `aws.region`, AWS_REGION or the profile's region to one such as eu-west-1"
    )]
    NoRegion,
    /// AWS refused the credentials.
    #[error("{0}")]
    Refused(String),
}

/// The error if there are no valid credentials.
#[derive(Debug)]
pub(crate) struct NoValidCredentials;

#[derive(Clone)]
enum State {
    Loading,
    Valid(Arc<LoadedCredentials>),
    Missing(CredentialsProblem),
}

/// The credentials of one identity.
pub(crate) struct CredentialCache {
    key: CredentialsKey,
    clock: fn() -> SystemTime,
    /// Set if a function has no region but the one that the SDK finds.
    pub(crate) needs_region: AtomicBool,
    state: watch::Sender<State>,
    /// The time of the last successful load in seconds since 1970, or zero.
    loaded: AtomicU64,
    /// Notified to load the credentials anew: AWS has refused them, or they expired before their renewal.
    /// The latter happens after the machine was suspended, because timers do not count that time.
    reload: Notify,
    /// Set while `refusal` is. The flag saves each request from taking the lock.
    is_refused: AtomicBool,
    refusal: Mutex<Option<(String, Instant)>>,
}

impl CredentialCache {
    /// Creates an empty cache. [`refresh_loop`](Self::refresh_loop) fills it.
    pub(crate) fn new(key: CredentialsKey, clock: fn() -> SystemTime) -> Self {
        Self {
            key,
            clock,
            needs_region: AtomicBool::new(false),
            state: watch::Sender::new(State::Loading),
            loaded: AtomicU64::new(0),
            reload: Notify::new(),
            is_refused: AtomicBool::new(false),
            refusal: Mutex::default(),
        }
    }

    /// Loads the credentials, and renews them for ever.
    pub(crate) async fn refresh_loop(self: Arc<Self>) {
        let mut logged: Option<String> = None;
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        loop {
            let (problem, wait) = match self.load().await {
                Ok(credentials) => {
                    backoff.reset();
                    let wait = self.wait(&credentials);
                    let problem = self.region_problem(&credentials);
                    self.state.send_replace(State::Valid(credentials));
                    (problem, wait)
                }
                Err(problem) => {
                    let wait = backoff.pause().mul_f64(0.5 + fastrand::f64() / 2.0);
                    self.state.send_if_modified(|state| {
                        let usable = matches!(state, State::Valid(old) if self.is_valid(old));
                        if !usable {
                            *state = State::Missing(problem.clone());
                        }
                        !usable
                    });
                    (Some(problem), Some(wait))
                }
            };
            let problem = problem.map(|problem| problem.to_string());
            match (&problem, &logged) {
                (Some(problem), Some(logged)) if is_same(logged, problem) => {}
                (Some(problem), _) => tracing::error!("{problem}"),
                (None, Some(_)) => tracing::info!("AWS credentials and region are there"),
                (None, None) => {}
            }
            logged = problem;
            let expiring = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.reload.notified() => sleep(FIRST_PAUSE).await,
                () = expiring => {}
            }
        }
    }

    /// Returns the credentials. Waits for a part of the first load at most.
    ///
    /// # Errors
    /// Returns an error if there are no valid credentials.
    pub(crate) async fn current(&self) -> Result<Arc<LoadedCredentials>, NoValidCredentials> {
        if let Some(current) = self.try_current() {
            return current;
        }
        // The load goes on after it.
        let _ = timeout(CALLER_WAIT, self.wait_until_loaded()).await;
        self.try_current().unwrap_or(Err(NoValidCredentials))
    }

    /// Returns the result of [`current`](Self::current), or `None` during the first load.
    fn try_current(&self) -> Option<Result<Arc<LoadedCredentials>, NoValidCredentials>> {
        match &*self.state.borrow() {
            State::Loading => None,
            State::Valid(credentials) if self.is_valid(credentials) => {
                Some(Ok(Arc::clone(credentials)))
            }
            State::Valid(_) => {
                self.reload.notify_one();
                Some(Err(NoValidCredentials))
            }
            State::Missing(_) => Some(Err(NoValidCredentials)),
        }
    }

    /// Returns the age and the expiry of the credentials.
    pub(crate) fn times(&self) -> CredentialTimes {
        let expiry = match &*self.state.borrow() {
            State::Valid(credentials) => credentials.identity.expiry(),
            State::Loading | State::Missing(_) => None,
        };
        let loaded = self.loaded.load(Ordering::Relaxed);
        CredentialTimes {
            role: self.key.role.as_ref().map(|role| role.arn.clone()),
            loaded: (loaded > 0).then_some(loaded),
            expiry: expiry.map(seconds_since_1970),
        }
    }

    /// Waits for the end of the first load.
    pub(crate) async fn wait_until_loaded(&self) {
        let mut state = self.state.subscribe();
        // Fails only if the sender is gone.
        let _ = state
            .wait_for(|state| !matches!(state, State::Loading))
            .await;
    }

    /// Returns the reason why invocations fail at present.
    pub(crate) fn problem(&self) -> Option<CredentialsProblem> {
        match &*self.state.borrow() {
            State::Loading => return Some(CredentialsProblem::Loading),
            State::Missing(problem) => return Some(problem.clone()),
            State::Valid(credentials) if !self.is_valid(credentials) => {
                self.reload.notify_one();
                return Some(CredentialsProblem::Expired);
            }
            State::Valid(credentials) => {
                if let Some(problem) = self.region_problem(credentials) {
                    return Some(problem);
                }
            }
        }
        let refusal = lock(&self.refusal);
        let (problem, since) = refusal.as_ref()?;
        let is_recent = since.elapsed() < UNREADY_AFTER_REFUSAL;
        is_recent.then(|| CredentialsProblem::Refused(problem.clone()))
    }

    /// Records that AWS refused the credentials, and loads them anew.
    pub(crate) fn refused(&self, problem: &str) {
        let role = match &self.key.role {
            Some(role) => format!(" (the role {})", role.arn),
            None => String::new(),
        };
        let problem = format!("{problem}{role}");
        let mut refusal = lock(&self.refusal);
        let earlier = refusal.as_ref();
        if !earlier.is_some_and(|(earlier, _)| is_same(earlier, &problem)) {
            tracing::error!("{problem}");
        }
        *refusal = Some((problem, Instant::now()));
        self.is_refused.store(true, Ordering::Relaxed);
        self.reload.notify_one();
    }

    /// Records that AWS accepted the credentials.
    pub(crate) fn accepted(&self) {
        if self.is_refused.swap(false, Ordering::Relaxed) && lock(&self.refusal).take().is_some() {
            tracing::info!("AWS accepts the credentials again");
        }
    }

    async fn load(&self) -> Result<Arc<LoadedCredentials>, CredentialsProblem> {
        let credentials = load::load(&self.key).await?;
        match self.is_valid(&credentials) {
            true => {
                let now = seconds_since_1970((self.clock)());
                self.loaded.store(now, Ordering::Relaxed);
                Ok(Arc::new(credentials))
            }
            false => Err(CredentialsProblem::Expired),
        }
    }

    fn is_valid(&self, credentials: &LoadedCredentials) -> bool {
        let expiry = credentials.identity.expiry();
        expiry.is_none_or(|expiry| expiry > (self.clock)())
    }

    fn region_problem(&self, credentials: &LoadedCredentials) -> Option<CredentialsProblem> {
        let is_missing = credentials.region.is_none() && self.needs_region.load(Ordering::Relaxed);
        is_missing.then_some(CredentialsProblem::NoRegion)
    }

    /// Returns the time until the credentials should be renewed. It is random, so that not all invokers
    /// renew their credentials at the same time.
    fn wait(&self, credentials: &LoadedCredentials) -> Option<Duration> {
        let left = credentials
            .identity
            .expiry()?
            .duration_since((self.clock)());
        Some(renewal(left.unwrap_or_default(), fastrand::f64()))
    }
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Returns whether two sentences are equal apart from their digits. AWS's errors contain the time.
fn is_same(left: &str, right: &str) -> bool {
    let words = |text| {
        str::split(text, |letter: char| letter.is_ascii_digit())
            .filter(|word: &&str| !word.is_empty())
    };
    words(left).eq(words(right))
}

/// Returns the time until the renewal of credentials that last `left`. `random` is from 0 to 1.
fn renewal(left: Duration, random: f64) -> Duration {
    let lead = LEAD.min(left / 2);
    let jitter = lead.min(left / 4).mul_f64(random * 0.4);
    (left.saturating_sub(lead).saturating_sub(jitter)).max(FIRST_PAUSE)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;
    use crate::backend::aws::endpoint::Variant;
    use crate::sigv4::Identity;

    #[tokio::test]
    async fn credentials_that_expired_during_a_suspension_are_renewed_at_once() {
        let key = CredentialsKey {
            role: None,
            region: None,
        };
        let cache = CredentialCache::new(key, SystemTime::now);
        let expired = Some(SystemTime::now() - Duration::from_secs(1));
        let credentials = LoadedCredentials {
            identity: Identity::new(Credentials::new("id", "secret", None, expired, "test")),
            region: None,
            endpoint: None,
            variant: Variant::default(),
        };
        cache
            .state
            .send_replace(State::Valid(Arc::new(credentials)));
        cache.current().await.unwrap_err();
        cache.reload.notified().await;
        assert!(matches!(cache.problem(), Some(CredentialsProblem::Expired)));
        cache.reload.notified().await;
    }

    #[test]
    fn sentences_that_differ_only_in_their_times_are_the_same() {
        assert!(is_same(
            "Signature expired: 20261121T000000Z",
            "Signature expired: 20261122T000001Z"
        ));
        assert!(!is_same(
            "Signature expired: 20261121T000000Z",
            "Signature not yet current"
        ));
    }

    #[test]
    fn credentials_are_renewed_well_before_they_expire() {
        let seconds = Duration::from_secs;
        assert_eq!(renewal(seconds(3_600), 0.0), seconds(3_300));
        assert_eq!(renewal(seconds(3_600), 1.0), seconds(3_180));
        assert_eq!(renewal(seconds(200), 0.0), seconds(100));
        assert_eq!(renewal(seconds(4), 0.0), seconds(2));
        assert_eq!(renewal(seconds(0), 0.5), FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_does_not_wait_for_all_of_the_first_load() {
        let key = CredentialsKey {
            role: None,
            region: None,
        };
        let cache = CredentialCache::new(key, SystemTime::now);
        let begun = Instant::now();
        assert!(cache.current().await.is_err());
        assert_eq!(begun.elapsed(), CALLER_WAIT);
    }
}
