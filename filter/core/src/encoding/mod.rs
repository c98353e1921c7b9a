//! The encodings of requests, responses and metadata: JSON and protobuf.

pub(crate) mod json;
pub(crate) mod json_string;
pub(crate) mod json_writer;
pub(crate) mod protobuf;
pub(crate) mod shallow_json;
pub(crate) mod surrogates;
