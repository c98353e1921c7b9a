//! The parts of the AWS Lambda Invoke API on which the filter, the invoker, the tests and the
//! benchmarks agree.
//!
//! The crate has no HTTP types, no clock and no source of randomness. It takes and returns text
//! and bytes, and it builds for `wasm32-unknown-unknown`.
//!
//! ```
//! use lambda_api::{
//!     FunctionAddress, FunctionReference, InvocationType, Operation, Qualifier, invocation_header,
//!     trace::Trace,
//! };
//!
//! // The filter writes the path of an invocation, and an invocation header.
//! let function: FunctionReference = "orders".parse()?;
//! let live: Qualifier = "live".parse()?;
//! let path = Operation::Invoke.path_and_query(&function, Some(&live));
//! assert_eq!(path, "/2015-03-31/functions/orders/invocations?Qualifier=live");
//!
//! let mut value = Vec::new();
//! let trace = Trace::root(lambda_api::trace::new_id(0x5759_e988, 1), None);
//! invocation_header::write(&mut value, InvocationType::RequestResponse, trace.xray(), &path);
//! value.extend_from_slice(b"{}");
//!
//! // The invoker reads both.
//! let header = invocation_header::read(&value)?;
//! assert_eq!(header.event, b"{}");
//! let (path, query) = header.path_and_query.split_once('?').unwrap();
//! let (operation, name) = Operation::split_path(path).unwrap();
//! assert_eq!(operation, Operation::Invoke);
//! let address = FunctionAddress::parse(name, Some(query))?;
//! assert_eq!(address.function.name().as_str(), "orders");
//! assert_eq!(address.qualifier, Some(live));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod client_request;
pub mod event_stream;
pub mod function_error;
pub mod headers;
pub mod invocation_header;
pub mod limits;
pub mod log_line;
pub mod name;
pub mod operation;
pub mod partition;
pub mod secret;
pub mod trace;

pub use name::{ACCOUNT_ID, FunctionArn, FunctionName, FunctionReference, NameError, Qualifier};
pub use operation::{AddressError, FunctionAddress, InvocationType, LogType, Operation};
pub use partition::Partition;
