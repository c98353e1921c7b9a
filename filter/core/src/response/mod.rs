//! Decodes the upstream's response to an invocation into the client's response.

mod around_body;
mod body;
mod contract;
mod decode;
mod decode_payload;
mod error_response;
mod headers;
pub(crate) mod http_response;
pub(crate) mod ids;
mod invoke_complete;
mod invoke_response;
pub(crate) mod long_body;
mod payload;
mod prelude;
mod stream;

pub use decode::decode;
pub(crate) use decode::has_body;
pub use error_response::error_response;
pub use http_response::HttpResponse;
pub use invoke_response::InvokeResponse;
pub use long_body::PartBuffer;
pub use stream::StreamedResponse;
