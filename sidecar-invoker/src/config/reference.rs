//! The reference of `invoker.yaml`, made from its tables of keys.

use lambda_filter_core::config::reference::{document, table};

use super::keys::kind::object;

use super::routes;
use super::schema::callers::{AccessKeyKeys, CallersKeys, FilterKeys, IdentityKeys};
use super::schema::console::ConsoleKeys;
use super::schema::functions::{EventKeys, FunctionKeys};
use super::schema::local::LocalKeys;
use super::schema::traces::TracesKeys;
use super::schema::{FileKeys, aws};

/// Returns the tables of docs/invoker.md, each with the name that the comment in front of it has.
#[must_use]
pub fn tables() -> Vec<(&'static str, String)> {
    vec![
        ("invoker top level", table(&FileKeys::reference())),
        ("invoker callers", table(&CallersKeys::reference())),
        ("invoker callers.filters", table(&FilterKeys::reference())),
        (
            "invoker callers.access_keys",
            table(&AccessKeyKeys::reference()),
        ),
        (
            "invoker callers.identities",
            table(&IdentityKeys::reference()),
        ),
        ("invoker traces", table(&TracesKeys::reference())),
        ("invoker console", table(&ConsoleKeys::reference())),
        ("invoker aws", table(&aws::block_reference())),
        ("invoker functions.NAME", table(&FunctionKeys::reference())),
        (
            "invoker functions.NAME.aws",
            table(&aws::function_reference()),
        ),
        (
            "invoker functions.NAME.local",
            table(&LocalKeys::reference()),
        ),
        (
            "invoker functions.NAME.event",
            table(&EventKeys::reference()),
        ),
        ("invoker routes", routes::table()),
    ]
}

/// Returns the JSON Schema of the file, for editors.
#[must_use]
pub fn schema() -> String {
    document(
        "invoker.yaml of lambda-mesh",
        object(&FileKeys::reference()),
    )
}
