//! The figures of each function that the filter adds to Envoy's statistics.
//!
//! An attempt adds to one counter when its invocation is sent, and to another if it fails. Few attempts
//! are timed, because time and histograms cost more than everything else together.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::rc::Rc;

use lambda_api::{FunctionReference, Qualifier};

/// The largest number of functions with figures of their own in a worker. Envoy never forgets a statistic.
const MAX_FUNCTIONS: usize = 1_000;

/// The functions beyond [`MAX_FUNCTIONS`]. No function has parentheses in its name.
const OTHERS: &str = "(others)";

/// The function of requests whose configuration is not known.
const UNKNOWN: &str = "(unknown)";

/// One attempt of so many is timed, the first of a function among them.
const SAMPLED: u32 = 16;

/// A figure of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A counter: the invocations that were sent.
    Invocations,
    /// A counter: the attempts that failed.
    Errors(ErrorKind),
    /// A histogram: the microseconds from a whole request to its event.
    EncodeTime,
    /// A histogram: the microseconds from a whole payload to its response.
    DecodeTime,
}

impl Metric {
    /// The number of metrics of a function.
    const COUNT: usize = 3 + ErrorKind::NAMES.len();

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invocations => "invocations",
            Self::Errors(_) => "errors",
            Self::EncodeTime => "encode_time_us",
            Self::DecodeTime => "decode_time_us",
        }
    }

    /// Returns whether the metric is a histogram, and not a counter.
    #[must_use]
    pub fn is_histogram(self) -> bool {
        matches!(self, Self::EncodeTime | Self::DecodeTime)
    }

    fn index(self) -> usize {
        match self {
            Self::Invocations => 0,
            Self::EncodeTime => 1,
            Self::DecodeTime => 2,
            Self::Errors(kind) => 3 + kind as usize,
        }
    }
}

/// Declares the kinds of errors with their names.
macro_rules! error_kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal)+) => {
        /// A kind of failed attempts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorKind {
            $($(#[$about])* $kind,)+
        }

        impl ErrorKind {
            const NAMES: &[&str] = &[$($name),+];

            /// Returns the name, which is the value of a label.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

error_kinds! {
    /// The filter or its configuration cannot serve the request.
    Configuration "configuration"
    /// The format cannot express the request.
    BadRequest "bad_request"
    /// The request or its event is larger than allowed.
    RequestTooLarge "request_too_large"
    /// The function raised an error.
    Unhandled "unhandled"
    /// The function did not respond in time.
    Timeout "timeout"
    /// The function's runtime or an extension ended, or did not start.
    Runtime "runtime"
    /// The function's response is larger than Lambda allows.
    ResponseTooLarge "response_too_large"
    /// The function's response breaks the contract of its format.
    Malformed "malformed"
    /// A stream of the function ended with an error, or too early.
    Stream "stream"
    /// Lambda or the invoker has no room for the invocation.
    Throttled "throttled"
    /// Lambda or the invoker did not run the function for another reason.
    Service "service"
    /// The attempt ended without a whole response.
    NoResponse "no_response"
}

/// The figures of a function in a worker.
#[derive(Debug, PartialEq)]
pub struct FunctionMetrics {
    function: Box<str>,
    qualifier: Option<Box<str>>,
    /// The host's ids of the metrics.
    ids: [Cell<Option<u32>>; Metric::COUNT],
    attempts: Cell<u32>,
}

impl FunctionMetrics {
    /// Returns the figures of a function, none of which the host has yet.
    pub(crate) fn new(function: &FunctionReference, qualifier: Option<&Qualifier>) -> Self {
        let qualifier = function.qualifier().or(qualifier);
        // A dot separates the parts of a statistic's name.
        let qualifier = qualifier.map(|text| text.as_str().replace('.', "_").into());
        Self {
            qualifier,
            ..Self::named(function.name().as_str())
        }
    }

    fn named(function: &str) -> Self {
        Self {
            function: function.into(),
            qualifier: None,
            ids: [const { Cell::new(None) }; Metric::COUNT],
            attempts: Cell::new(0),
        }
    }

    /// Returns the figures of requests whose configuration is not known.
    pub(crate) fn unknown() -> Self {
        Self::named(UNKNOWN)
    }

    /// Returns the values of the labels `function` and, if there is one, `qualifier`. They have no dots.
    #[must_use]
    pub fn labels(&self) -> (&str, Option<&str>) {
        (&self.function, self.qualifier.as_deref())
    }

    /// Returns the name of a metric for a host without labels, from which Envoy's `stats_tags` take them:
    /// `lambda.function.NAME[.qualifier.QUALIFIER][.error.KIND].lambda_METRIC`.
    #[must_use]
    pub fn full_name(&self, metric: Metric) -> String {
        let mut name = format!("lambda.function.{}", self.function);
        // Writing to a string cannot fail.
        if let Some(qualifier) = &self.qualifier {
            let _ = write!(name, ".qualifier.{qualifier}");
        }
        if let Metric::Errors(kind) = metric {
            let _ = write!(name, ".error.{}", kind.name());
        }
        let _ = write!(name, ".lambda_{}", metric.name());
        name
    }

    /// Returns the host's id of a metric, which `define` makes at the first call.
    pub fn id(&self, metric: Metric, define: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let id = self.ids.get(metric.index())?;
        if id.get().is_none() {
            id.set(define());
        }
        id.get()
    }

    /// Returns whether the next attempt is timed.
    pub(crate) fn sample(&self) -> bool {
        let attempts = self.attempts.get();
        self.attempts.set(attempts.wrapping_add(1));
        attempts.is_multiple_of(SAMPLED)
    }
}

/// The figures of all functions of a plugin in a worker.
#[derive(Debug, Default)]
pub(crate) struct Functions(RefCell<Vec<Rc<FunctionMetrics>>>);

impl Functions {
    /// Returns the figures of the same function if there are any, and otherwise remembers `new`.
    pub(crate) fn share(&self, new: Rc<FunctionMetrics>) -> Rc<FunctionMetrics> {
        let mut functions = self.0.borrow_mut();
        let known = |new: &FunctionMetrics| {
            let mut functions = functions.iter();
            functions
                .find(|known| known.labels() == new.labels())
                .cloned()
        };
        if let Some(known) = known(&new) {
            return known;
        }
        let new = match functions.len() {
            MAX_FUNCTIONS.. => {
                let others = FunctionMetrics::named(OTHERS);
                if let Some(known) = known(&others) {
                    return known;
                }
                Rc::new(others)
            }
            _ => new,
        };
        functions.push(Rc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(function: &str, qualifier: Option<&str>) -> FunctionMetrics {
        let qualifier = qualifier.map(|text| text.parse().unwrap());
        FunctionMetrics::new(&function.parse().unwrap(), qualifier.as_ref())
    }

    #[test]
    fn a_name_has_a_part_for_each_label() {
        let errors = Metric::Errors(ErrorKind::Timeout);
        for (function, qualifier, metric, expected) in [
            (
                "a",
                None,
                Metric::Invocations,
                "lambda.function.a.lambda_invocations",
            ),
            (
                "a",
                None,
                errors,
                "lambda.function.a.error.timeout.lambda_errors",
            ),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:Odd_-1:$LATEST.PUBLISHED",
                None,
                errors,
                "lambda.function.Odd_-1.qualifier.$LATEST_PUBLISHED.error.timeout.lambda_errors",
            ),
            (
                "123456789012:function:a",
                Some("live"),
                Metric::EncodeTime,
                "lambda.function.a.qualifier.live.lambda_encode_time_us",
            ),
        ] {
            assert_eq!(metrics(function, qualifier).full_name(metric), expected);
        }
    }

    #[test]
    fn each_metric_has_an_id_of_its_own() {
        let function = metrics("a", None);
        let kinds = [
            Metric::Invocations,
            Metric::EncodeTime,
            Metric::DecodeTime,
            Metric::Errors(ErrorKind::Configuration),
            Metric::Errors(ErrorKind::NoResponse),
        ];
        for (id, metric) in (0..).zip(kinds) {
            assert_eq!(function.id(metric, || None), None);
            assert_eq!(function.id(metric, || Some(id)), Some(id));
        }
        for (id, metric) in (0..).zip(kinds) {
            assert_eq!(function.id(metric, || panic!("it is known")), Some(id));
        }
        assert_eq!(ErrorKind::NoResponse as usize + 1, ErrorKind::NAMES.len());
    }

    #[test]
    fn one_attempt_in_sixteen_is_timed_and_the_first_is() {
        let function = metrics("a", None);
        let timed = (0..33).filter(|_| function.sample());
        assert_eq!(timed.collect::<Vec<_>>(), [0, 16, 32]);
    }

    #[test]
    fn functions_beyond_the_limit_share_their_figures() {
        let functions = Functions::default();
        let share = |name: &str, qualifier| functions.share(Rc::new(metrics(name, qualifier)));
        let first = share("f0", None);
        for index in 1..MAX_FUNCTIONS {
            share(&format!("f{index}"), None);
        }
        assert!(Rc::ptr_eq(&first, &share("123456789012:function:f0", None)));
        let other = share("f0", Some("live"));
        assert_eq!(other.labels(), ("(others)", None));
        assert!(Rc::ptr_eq(&other, &share("g", None)));
        assert_eq!(share("f999", None).labels(), ("f999", None));
        assert_eq!(functions.0.borrow().len(), MAX_FUNCTIONS + 1);
    }
}
