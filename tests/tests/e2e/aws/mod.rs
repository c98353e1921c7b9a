//! What the invoker does in front of AWS, which a stand-in plays that verifies every signature.

mod stand_in;
