//! The tables in docs/invoker.md and the JSON Schema are made from the keys.
//!
//! `UPDATE_EXPECT=1 cargo test -p sidecar-invoker reference` writes them anew.

use expect_test::expect_file;
use lambda_filter_core::config::reference::with_table;
use sidecar_invoker::config::reference;

#[test]
fn the_tables_of_keys_are_made_from_the_keys() {
    let mut page = include_str!("../../../docs/invoker.md").to_owned();
    for (name, table) in reference::tables() {
        page = with_table(&page, name, &table).unwrap_or_else(|| panic!("no table `{name}`"));
    }
    expect_file!["../../../docs/invoker.md"].assert_eq(&page);
}

#[test]
fn the_schema_is_made_from_the_keys() {
    expect_file!["../../../docs/schema/invoker.schema.json"].assert_eq(&reference::schema());
}
