//! Tests in a real browser. They are a program of their own, because they run once and not with each host of the
//! filter.
#![expect(clippy::expect_used, reason = "a failed test panics")]

mod console_page;
