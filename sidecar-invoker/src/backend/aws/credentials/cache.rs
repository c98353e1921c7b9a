//! Credentials that are there before they are needed: loaded at the start, and renewed well before they
//! expire by one task for each cache. The log says once, in plain words, when they are missing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::load::{self, CredentialsKey};
use crate::backend::aws::endpoint::Variant;
use crate::backend::aws::sign::Identity;
use crate::config::Endpoint;
use crate::util::{Backoff, lock};

/// How long before they expire credentials are renewed, if they last that long twice. EC2 and ECS
/// have new ones five minutes ahead.
const LEAD: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long AWS's refusal of the credentials keeps the invoker from being ready: only requests show
/// that they are accepted again, and none come while it is not ready.
const REFUSED_FOR: Duration = Duration::from_secs(30);

const EXPIRED: &str = "the AWS credentials have expired, or this machine's clock is wrong; sign in again, with `aws sso login` say, or set new ones";

/// Credentials, and what was found beside them.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) identity: Identity,
    /// The region that the SDK found.
    pub(crate) region: Option<String>,
    /// The endpoint that the SDK found.
    pub(crate) endpoint: Option<Endpoint>,
    /// Which of a region's endpoints the SDK would choose.
    pub(crate) variant: Variant,
}

#[derive(Clone)]
enum State {
    Loading,
    Valid(Arc<Session>),
    Missing(Arc<str>),
}

/// Credentials of one identity.
pub(crate) struct CredentialCache {
    key: CredentialsKey,
    clock: fn() -> SystemTime,
    /// Whether a function has no region but the one that the SDK finds.
    pub(crate) needs_region: AtomicBool,
    state: watch::Sender<State>,
    /// AWS has refused them; or they have expired unrenewed, as when this machine was suspended, for
    /// timers do not count that.
    reload: Notify,
    /// Whether AWS has refused them; a flag, so that no request takes the lock while all is well.
    is_refused: AtomicBool,
    refusal: Mutex<Option<(String, Instant)>>,
}

/// There are no valid credentials.
#[derive(Debug)]
pub(crate) struct Missing;

impl CredentialCache {
    pub(crate) fn new(key: CredentialsKey, clock: fn() -> SystemTime) -> Self {
        Self {
            key,
            clock,
            needs_region: AtomicBool::new(false),
            state: watch::Sender::new(State::Loading),
            reload: Notify::new(),
            is_refused: AtomicBool::new(false),
            refusal: Mutex::default(),
        }
    }

    /// Keeps the credentials valid, for ever.
    pub(crate) async fn refresh_loop(self: Arc<Self>) {
        let mut logged: Option<String> = None;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let (problem, wait) = match self.load().await {
                Ok(session) => {
                    backoff.reset();
                    let wait = self.wait(&session);
                    let problem = self.region_problem(&session).map(str::to_owned);
                    self.state.send_replace(State::Valid(session));
                    (problem, wait)
                }
                Err(problem) => {
                    let wait = backoff.pause().mul_f64(0.5 + fastrand::f64() / 2.0);
                    self.state.send_if_modified(|state| {
                        let usable = matches!(state, State::Valid(old) if self.is_valid(old));
                        if !usable {
                            *state = State::Missing(problem.as_str().into());
                        }
                        !usable
                    });
                    (Some(problem), Some(wait))
                }
            };
            match &problem {
                Some(problem)
                    if !logged
                        .as_ref()
                        .is_some_and(|logged| is_same(logged, problem)) =>
                {
                    tracing::error!("{problem}");
                }
                None if logged.is_some() => tracing::info!("AWS credentials and region are there"),
                _ => {}
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

    /// The credentials if they are valid; waits only while they are loaded for the first time.
    ///
    /// # Errors
    /// There are none.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Missing> {
        if let Some(found) = self.found() {
            return found;
        }
        self.wait_until_loaded().await;
        self.found().unwrap_or(Err(Missing))
    }

    /// What [`session`](Self::session) says; `None` while they are loaded for the first time.
    fn found(&self) -> Option<Result<Arc<Session>, Missing>> {
        match &*self.state.borrow() {
            State::Loading => None,
            State::Valid(session) if self.is_valid(session) => Some(Ok(Arc::clone(session))),
            State::Valid(_) => {
                self.reload.notify_one();
                Some(Err(Missing))
            }
            State::Missing(_) => Some(Err(Missing)),
        }
    }

    /// When they expire, if they do.
    pub(crate) fn expiry(&self) -> Option<SystemTime> {
        match &*self.state.borrow() {
            State::Valid(session) => session.identity.expiry(),
            State::Loading | State::Missing(_) => None,
        }
    }

    /// Waits until they have been looked for.
    pub(crate) async fn wait_until_loaded(&self) {
        let mut state = self.state.subscribe();
        // Fails only if the source is gone.
        let _ = state
            .wait_for(|state| !matches!(state, State::Loading))
            .await;
    }

    /// Why requests fail, in one sentence with the cure.
    pub(crate) fn problem(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Loading => return Some("AWS credentials are being loaded".to_owned()),
            State::Missing(problem) => return Some(problem.to_string()),
            State::Valid(session) if !self.is_valid(session) => {
                self.reload.notify_one();
                return Some(EXPIRED.to_owned());
            }
            State::Valid(session) => {
                if let Some(problem) = self.region_problem(session) {
                    return Some(problem.to_owned());
                }
            }
        }
        let refusal = lock(&self.refusal);
        let (problem, since) = refusal.as_ref()?;
        (since.elapsed() < REFUSED_FOR).then(|| problem.clone())
    }

    /// AWS has refused the credentials: new ones are looked for.
    pub(crate) fn refused(&self, problem: &str) {
        let whose = match &self.key.role {
            Some(role) => format!(" (the role {})", role.arn),
            None => String::new(),
        };
        let problem = format!("{problem}{whose}");
        let mut refusal = lock(&self.refusal);
        let earlier = refusal.as_ref();
        if !earlier.is_some_and(|(earlier, _)| is_same(earlier, &problem)) {
            tracing::error!("{problem}");
        }
        *refusal = Some((problem, Instant::now()));
        self.is_refused.store(true, Ordering::Relaxed);
        self.reload.notify_one();
    }

    /// AWS has accepted the credentials.
    pub(crate) fn accepted(&self) {
        if self.is_refused.swap(false, Ordering::Relaxed) && lock(&self.refusal).take().is_some() {
            tracing::info!("AWS accepts the credentials again");
        }
    }

    async fn load(&self) -> Result<Arc<Session>, String> {
        let found = load::load(&self.key).await?;
        let session = Arc::new(Session {
            identity: Identity::new(found.credentials),
            region: found.region,
            endpoint: found.endpoint,
            variant: found.variant,
        });
        match self.is_valid(&session) {
            true => Ok(session),
            false => Err(EXPIRED.to_owned()),
        }
    }

    fn is_valid(&self, session: &Session) -> bool {
        let expiry = session.identity.expiry();
        expiry.is_none_or(|expiry| expiry > (self.clock)())
    }

    fn region_problem(&self, session: &Session) -> Option<&'static str> {
        let missing = session.region.is_none() && self.needs_region.load(Ordering::Relaxed);
        missing.then_some(
            "no AWS region is known; set `aws.region`, AWS_REGION or the profile's region to one such as eu-west-1",
        )
    }

    /// How long until the credentials should be renewed, some time before they expire and not at the
    /// same time everywhere.
    fn wait(&self, session: &Session) -> Option<Duration> {
        let left = session.identity.expiry()?.duration_since((self.clock)());
        Some(renewal(left.unwrap_or_default(), fastrand::f64()))
    }
}

/// Whether two sentences say the same; AWS's have the time in them.
fn is_same(one: &str, other: &str) -> bool {
    let words = |text| {
        str::split(text, |letter: char| letter.is_ascii_digit())
            .filter(|word: &&str| !word.is_empty())
    };
    words(one).eq(words(other))
}

/// When credentials that last `left` are renewed; `random` is from 0 to 1.
fn renewal(left: Duration, random: f64) -> Duration {
    let lead = LEAD.min(left / 2);
    let jitter = lead.min(left / 4).mul_f64(random * 0.4);
    (left.saturating_sub(lead).saturating_sub(jitter)).max(FIRST_PAUSE)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    #[tokio::test]
    async fn what_expired_while_the_machine_was_suspended_is_renewed_at_once() {
        let key = CredentialsKey {
            role: None,
            region: None,
        };
        let cache = CredentialCache::new(key, SystemTime::now);
        let expired = Some(SystemTime::now() - Duration::from_secs(1));
        let session = Session {
            identity: Identity::new(Credentials::new("id", "secret", None, expired, "test")),
            region: None,
            endpoint: None,
            variant: Variant::default(),
        };
        cache.state.send_replace(State::Valid(Arc::new(session)));
        cache.session().await.unwrap_err();
        cache.reload.notified().await;
        assert!(cache.problem().unwrap().contains("expired"));
        cache.reload.notified().await;
    }

    #[test]
    fn what_differs_in_its_time_is_not_said_again() {
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
}
