//! Memory that passes between Envoy and the module.
#![expect(unsafe_code, reason = "Envoy's memory")]

use std::ptr;

pub(crate) use super::declarations::Buffer;

impl Buffer {
    pub(super) const NULL: Self = Self {
        ptr: ptr::null(),
        length: 0,
    };

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    /// Returns the bytes. The caller chooses a lifetime.
    ///
    /// # Safety
    /// The buffer is null, or Envoy's, and Envoy does not change or free it within the lifetime.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: Envoy's buffers have this length, and the caller answers for the lifetime.
        unsafe { std::slice::from_raw_parts(self.ptr, self.length) }
    }
}

/// Calls `fill` with room for `count` items: on the stack if there are at most `N`, as nearly always.
pub(super) fn with_room<T: Copy, const N: usize, R>(
    empty: T,
    count: usize,
    fill: impl FnOnce(&mut [T]) -> R,
) -> R {
    match [empty; N].get_mut(..count) {
        Some(few) => fill(few),
        None => fill(&mut vec![empty; count]),
    }
}
