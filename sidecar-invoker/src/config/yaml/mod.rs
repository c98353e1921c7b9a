//! YAML with line numbers: a tree, its decoding, and values that stand as text.

pub(crate) mod decode;
mod flow;
pub(crate) mod scalar;
mod surrogates;
pub(crate) mod tree;
