//! Generators of bodies, also for the benchmark in `tests/bench`.

use serde_json::json;

/// Returns JSON of about `size` bytes, with quotation marks and spaces.
pub fn json_text(size: usize) -> Vec<u8> {
    let item = json!({ "id": 4711, "name": "A shoe", "price": 49.9 });
    let count = size / (item.to_string().len() + 1);
    json!({ "items": vec![item; count] })
        .to_string()
        .into_bytes()
}

/// Returns `size` pseudo-random bytes, the same each time.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}
