//! The states of functions and their environments, for the metrics and the console.

use std::time::Duration;

use lambda_api::FunctionName;

/// A phase in the life of an execution environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnvironmentPhase {
    /// The environment is not ready yet.
    Starting,
    /// The environment waits for an invocation.
    Idle,
    /// The environment has an invocation, or has not asked for another one yet.
    Busy,
    /// The environment is about to end.
    Ending,
}

impl EnvironmentPhase {
    /// All phases.
    pub(crate) const ALL: [Self; 4] = [Self::Starting, Self::Idle, Self::Busy, Self::Ending];

    /// Returns the name of the phase.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Ending => "ending",
        }
    }
}

/// The times of the AWS credentials of a role, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CredentialTimes {
    /// `None` for credentials without a role.
    pub(crate) role: Option<String>,
    /// The last successful load.
    pub(crate) loaded: Option<u64>,
    /// `None` for credentials that do not expire.
    pub(crate) expiry: Option<u64>,
}

/// The state of an execution environment.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentState {
    /// The short name of the environment, as in the log.
    pub(crate) id: String,
    /// The version of the function that the environment runs.
    pub(crate) version: String,
    pub(crate) phase: EnvironmentPhase,
    /// The peak memory in MiB, as it was read last.
    pub(crate) memory_mib: Option<u64>,
    /// The time since the environment was created.
    pub(crate) age: Duration,
}

/// The state of a function.
#[derive(Debug, Clone)]
pub(crate) struct FunctionState {
    pub(crate) name: FunctionName,
    /// The kind of the backend: `aws`, `rie` or `local`.
    pub(crate) backend: &'static str,
    /// The maximum number of invocations at the same time.
    pub(crate) concurrency: Option<usize>,
    /// The environments. AWS does not tell them.
    pub(crate) environments: Vec<EnvironmentState>,
}

impl FunctionState {
    /// Returns the number of environments in a phase.
    pub(crate) fn count(&self, phase: EnvironmentPhase) -> usize {
        let environments = self.environments.iter();
        environments
            .filter(|environment| environment.phase == phase)
            .count()
    }
}
