//! The reference of the filter's keys is up to date. `UPDATE_EXPECT=1 cargo test reference` writes it anew.

use expect_test::expect_file;
use lambda_filter_core::config::{Settings, reference};

#[test]
fn the_reference_table_is_made_from_the_keys() {
    let page = include_str!("../../../docs/filter.md");
    let table = reference::table(&Settings::reference());
    let page = reference::with_table(page, "filter keys", &table).expect("the comments are there");
    expect_file!["../../../docs/filter.md"].assert_eq(&page);
}

#[test]
fn the_reference_schema_is_made_from_the_keys() {
    expect_file!["../../../docs/schema/filter.schema.json"].assert_eq(&Settings::schema());
}
