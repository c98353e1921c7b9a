//! Tables of keys. A mapping of the file with fixed keys has one table. A key is known, read,
//! documented and in the JSON Schema because it stands there.

pub(super) mod kind;
mod table;

pub(super) use table::{Field, keys};
