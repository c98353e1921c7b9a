//! Sample events of AWS services, with fields to set.
//!
//! Each event has the shape that the service's page of the AWS Lambda developer guide describes. The tests
//! read each with the types of AWS's own crate `aws_lambda_events`.

mod model;
mod table;
mod template;

use std::fmt::Write;

use crate::config::yaml::decode::nearest;

use model::COMMON;
pub(crate) use model::{Origin, Sample, SampleError, Setting, Values};
use table::SAMPLES;
pub(crate) use template::fill;

/// Returns the sample of this name.
///
/// # Errors
/// [`SampleError::UnknownSample`].
pub(crate) fn find(name: &str) -> Result<&'static Sample, SampleError> {
    let found = SAMPLES.iter().find(|sample| sample.name == name);
    found.ok_or_else(|| SampleError::UnknownSample {
        name: name.to_owned(),
        nearest: nearest(
            name,
            &SAMPLES.iter().map(|sample| sample.name).collect::<Vec<_>>(),
        ),
    })
}

/// Returns a table of all samples with their fields.
pub(crate) fn list() -> String {
    let width = |text: fn(&Sample) -> usize| SAMPLES.iter().map(text).max().unwrap_or_default();
    let name_width = width(|sample| sample.name.len());
    let about_width = width(|sample| sample.about.len());
    let mut list = format!(
        "{:name_width$}  {:about_width$}  FIELDS\n",
        "SAMPLE", "EVENT"
    );
    for sample in SAMPLES {
        let fields: Vec<_> = sample.fields.iter().map(|field| field.name).collect();
        let line = format!(
            "{:name_width$}  {:about_width$}  {}",
            sample.name,
            sample.about,
            fields.join(", ")
        );
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{}", line.trim_end());
    }
    let common: Vec<_> = COMMON.iter().map(|field| field.name).collect();
    let _ = writeln!(
        list,
        "\nAll samples but those of HTTP requests also have the fields {}.",
        common.join(" and ")
    );
    list
}

#[cfg(test)]
mod tests;
