//! The encodings of requests, responses and metadata: JSON, base64 and protobuf.

pub(crate) mod base64;
pub(crate) mod beginning;
mod encoder_choices;
pub(crate) mod json;
pub(crate) mod json_string;
pub(crate) mod json_writer;
pub(crate) mod protobuf;
pub(crate) mod shallow_json;
mod string_escape;
pub(crate) mod string_reader;
pub(crate) mod surrogates;
