//! The trace of a call, in two headers: [`headers::TRACE_ID`](crate::headers::TRACE_ID) of AWS X-Ray, and
//! [`headers::TRACEPARENT`](crate::headers::TRACEPARENT) of W3C Trace Context.
//!
//! `Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1` and
//! `00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01` are the same place in the same trace.
//!
//! Sources: "Tracing header" in the AWS X-Ray developer guide, "Request tracing for your Application Load
//! Balancer", OpenTelemetry's propagator for AWS X-Ray, and W3C Trace Context.

use std::borrow::Cow;

use crate::limits::{MAX_TRACE_ID_BYTES, MAX_TRACE_STATE_BYTES};

/// A place in a trace: the span that the next one is a child of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace. Never 0.
    pub trace_id: u128,
    /// The span. Never 0.
    pub span_id: Option<u64>,
    /// The decision to record the trace. `None` leaves it to the receiver.
    pub is_sampled: Option<bool>,
}

impl TraceContext {
    /// Reads a `traceparent`.
    ///
    /// ```
    /// # use lambda_api::trace::TraceContext;
    /// let value = b"00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";
    /// let context = TraceContext::from_traceparent(value).unwrap();
    /// assert_eq!(
    ///     context.to_xray(),
    ///     "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1",
    /// );
    /// ```
    #[must_use]
    pub fn from_traceparent(value: &[u8]) -> Option<Self> {
        let (version, rest) = split(value, 2)?;
        let (trace_id, rest) = split(rest, 32)?;
        let (span_id, rest) = split(rest, 16)?;
        let (flags, rest) = rest.split_at_checked(2)?;
        // Later versions may have more fields.
        let is_whole = match version {
            b"00" => rest.is_empty(),
            _ => matches!(rest, [] | [b'-', ..]),
        };
        let is_known = is_whole && lower_hex(version)? != 0xff;
        let flags = lower_hex(flags)?;
        Some(Self {
            trace_id: lower_hex(trace_id).filter(|&id| id != 0 && is_known)?,
            span_id: Some(
                u64::try_from(lower_hex(span_id)?)
                    .ok()
                    .filter(|&id| id != 0)?,
            ),
            is_sampled: Some(flags & 1 == 1),
        })
    }

    /// Returns the value of `traceparent`, or `None` if there is no span.
    #[must_use]
    pub fn to_traceparent(&self) -> Option<String> {
        let (trace_id, span_id) = (self.trace_id, self.span_id?);
        let flags = u8::from(self.is_sampled == Some(true));
        Some(format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}"))
    }

    /// Returns the value of `X-Amzn-Trace-Id`.
    #[must_use]
    pub fn to_xray(&self) -> String {
        let (seconds, random) = (self.trace_id >> 96, self.trace_id & RANDOM);
        let mut value = format!("Root=1-{seconds:08x}-{random:024x}");
        if let Some(span_id) = self.span_id {
            value.push_str(&format!(";Parent={span_id:016x}"));
        }
        match self.is_sampled {
            None => {}
            Some(false) => value.push_str(";Sampled=0"),
            Some(true) => value.push_str(";Sampled=1"),
        }
        value
    }

    /// Returns whether the context says no more than an id, like that which a load balancer adds to each
    /// request. Nothing is recorded under it.
    fn is_id_alone(&self) -> bool {
        self.span_id.is_none() && self.is_sampled.is_none()
    }
}

/// The part of a trace id that is random.
const RANDOM: u128 = (1 << 96) - 1;

/// Returns the id of a new trace.
///
/// `seconds` are those since 1970. Of `random` the low 96 bits are used. X-Ray refuses traces whose time is
/// not about now.
///
/// ```
/// use lambda_api::trace::{Trace, new_id};
///
/// let trace = Trace::root(new_id(0x5759_e988, 0xbd86_2e3f_e1be_46a9_9427_2793), Some(false));
/// assert_eq!(trace.xray(), "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0");
/// ```
#[must_use]
pub fn new_id(seconds: u32, random: u128) -> u128 {
    match u128::from(seconds) << 96 | random & RANDOM {
        0 => 1,
        id => id,
    }
}

/// The trace of a call, from the headers of its request.
///
/// - Each header is made from the other if that is the only valid one.
/// - If both name the same trace, the span is that of `traceparent`, which the hop before wrote.
/// - If they name two traces, both go on. The function gets that of `X-Amzn-Trace-Id`, as on AWS, whose
///   services pass `traceparent` on without reading it. A bare `Root`, as a load balancer adds to each request,
///   is no trace that anything is recorded in, and gives way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace<'a> {
    /// The span that the next one is a child of.
    pub context: TraceContext,
    /// The value of `X-Amzn-Trace-Id`.
    xray: Cow<'a, str>,
    /// The value of `traceparent`.
    traceparent: Option<Cow<'a, str>>,
    /// The other fields of `X-Amzn-Trace-Id`, each after a `;`. Lambda finds recursive loops by `Lineage`.
    other_fields: String,
    /// `X-Amzn-Trace-Id` names another trace than `context`.
    is_separate: bool,
}

impl<'a> Trace<'a> {
    /// Reads the headers of a request. Returns `None` if neither is valid.
    #[must_use]
    pub fn read(xray: Option<&'a [u8]>, traceparent: Option<&'a [u8]>) -> Option<Self> {
        let xray = xray.and_then(Xray::read);
        let received = traceparent.and_then(|value| {
            let context = TraceContext::from_traceparent(value)?;
            Some((context, std::str::from_utf8(value).ok()?))
        });
        let Some((context, traceparent)) = received else {
            let xray = xray?;
            return Some(Self {
                context: xray.context,
                traceparent: xray.context.to_traceparent().map(Cow::Owned),
                other_fields: xray.other_fields(),
                xray: xray.value,
                is_separate: false,
            });
        };
        let is_joint = |xray: &Xray<'_>| {
            xray.context.trace_id == context.trace_id || xray.context.is_id_alone()
        };
        let is_separate = !xray.as_ref().is_none_or(is_joint);
        let other_fields = xray.as_ref().map(Xray::other_fields).unwrap_or_default();
        let xray = match xray {
            Some(xray) if is_separate => xray.value,
            _ => Cow::Owned(with_fields(context, &other_fields)),
        };
        // The fields of a later version are unknown.
        let traceparent = match traceparent.starts_with("00") {
            true => Some(Cow::Borrowed(traceparent)),
            false => context.to_traceparent().map(Cow::Owned),
        };
        Some(Self {
            context,
            xray,
            traceparent,
            other_fields,
            is_separate,
        })
    }

    /// Returns a new trace without a span.
    #[must_use]
    pub fn root(trace_id: u128, is_sampled: Option<bool>) -> Self {
        let context = TraceContext {
            trace_id,
            span_id: None,
            is_sampled,
        };
        Self {
            context,
            xray: Cow::Owned(context.to_xray()),
            traceparent: None,
            other_fields: String::new(),
            is_separate: false,
        }
    }

    /// Returns the value of `X-Amzn-Trace-Id`.
    #[must_use]
    pub fn xray(&self) -> &str {
        &self.xray
    }

    /// Returns the value of `traceparent`, or `None` if there is no span.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Returns the value of `X-Amzn-Trace-Id` once it is decided whether the trace is recorded, for what is called
    /// within the span `span_id`, or else within that of the caller. A separate trace of X-Ray stays as it is.
    #[must_use]
    pub fn xray_within(&self, span_id: Option<u64>, is_sampled: bool) -> String {
        if self.is_separate {
            return self.xray.clone().into_owned();
        }
        let context = TraceContext {
            span_id: span_id.or(self.context.span_id),
            is_sampled: Some(is_sampled),
            ..self.context
        };
        with_fields(context, &self.other_fields)
    }
}

/// Returns a value of `X-Amzn-Trace-Id` with these fields too, unless it were too long.
fn with_fields(context: TraceContext, other_fields: &str) -> String {
    let mut value = context.to_xray();
    if value.len() + other_fields.len() <= MAX_TRACE_ID_BYTES {
        value.push_str(other_fields);
    }
    value
}

/// A valid value of `X-Amzn-Trace-Id`.
struct Xray<'a> {
    context: TraceContext,
    /// The value without spaces.
    value: Cow<'a, str>,
}

impl<'a> Xray<'a> {
    /// Reads a value. The fields may be in any order, with spaces around them.
    fn read(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let value = match text.contains(' ') {
            true => Cow::Owned(text.replace(' ', "")),
            false => Cow::Borrowed(text),
        };
        if !is_valid(value.as_bytes()) {
            return None;
        }
        let (mut root, mut span_id, mut is_sampled) = (None, None, None);
        for (name, field) in fields(&value) {
            // A field that comes twice has two meanings.
            match name {
                "Root" if root.is_none() => root = Some(read_root(field.as_bytes())?),
                "Parent" if span_id.is_none() => span_id = Some(read_span(field.as_bytes())?),
                "Sampled" if is_sampled.is_none() => {
                    is_sampled = Some(match field {
                        "0" => Some(false),
                        "1" => Some(true),
                        // The caller asks the receiver to decide.
                        "?" => None,
                        _ => return None,
                    });
                }
                "Root" | "Parent" | "Sampled" => return None,
                _ => {}
            }
        }
        Some(Self {
            context: TraceContext {
                trace_id: root?,
                span_id,
                is_sampled: is_sampled.flatten(),
            },
            value,
        })
    }

    fn other_fields(&self) -> String {
        let mut others = String::new();
        for (name, field) in fields(&self.value) {
            if !matches!(name, "Root" | "Parent" | "Sampled") {
                others.extend([";", name, "=", field]);
            }
        }
        others
    }
}

fn fields(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(';').filter_map(|field| field.split_once('='))
}

fn read_root(text: &[u8]) -> Option<u128> {
    let (version, rest) = split(text, 1)?;
    let (seconds, random) = split(rest, 8)?;
    if version != b"1" || random.len() != 24 {
        return None;
    }
    let id = hex(seconds)? << 96 | hex(random)?;
    (id != 0).then_some(id)
}

fn read_span(text: &[u8]) -> Option<u64> {
    let id = hex(text).filter(|&id| text.len() == 16 && id != 0)?;
    u64::try_from(id).ok()
}

/// Splits off a field of a certain length, and the `-` after it.
fn split(text: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (field, rest) = text.split_at_checked(length)?;
    Some((field, rest.strip_prefix(b"-")?))
}

/// Reads digits of W3C Trace Context, which has no capital letters.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    let is_lower = !digits.iter().any(u8::is_ascii_uppercase);
    hex(digits).filter(|_| is_lower)
}

/// Reads at most 32 hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | u128::from(char::from(digit).to_digit(16)?))
    })
}

/// Returns the trace that a value of `X-Amzn-Trace-Id` names, as 32 hexadecimal digits in the form of W3C.
#[must_use]
pub fn id_of(xray: &[u8]) -> Option<String> {
    let trace = Trace::read(Some(xray), None)?;
    Some(format!("{:032x}", trace.context.trace_id))
}

/// Returns whether a value may be passed on as an id of X-Ray: at most [`MAX_TRACE_ID_BYTES`] of visible ASCII
/// without spaces.
///
/// The value reaches the function in a header of the Runtime API. Longer values and other
/// characters have ended runtimes.
#[must_use]
pub fn is_valid(value: &[u8]) -> bool {
    value.len() <= MAX_TRACE_ID_BYTES && value.iter().all(u8::is_ascii_graphic)
}

/// Returns whether a `tracestate` may be passed on: at most [`MAX_TRACE_STATE_BYTES`] of printable ASCII, and not
/// empty. Its entries are for others to read.
#[must_use]
pub fn is_valid_state(value: &[u8]) -> bool {
    let is_printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let is_empty = value.trim_ascii().is_empty();
    !is_empty && value.len() <= MAX_TRACE_STATE_BYTES && value.iter().all(is_printable)
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
