//! Envoy's functions, as safe Rust.
#![expect(unsafe_code, reason = "calls of foreign functions")]

use std::ffi::CStr;
use std::ptr;

use super::buffer::{Buffer, with_room};
use super::declarations as abi;
pub(crate) use super::declarations::{
    Attribute, BodyType, FilterPtr, HeaderType, LogLevel, MetadataSource,
};
use super::declarations::{CALLBACKS, Header};
use crate::settings::RouteConfig;

/// One request in Envoy.
///
/// It is valid by the contract of [`Filter::new`]: every `unsafe` block below relies on that for its first
/// argument. [`requests`](crate::requests) forgets a request before Envoy destroys it, and all hooks of a
/// request run in one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter(FilterPtr);

/// Headers in Envoy's own memory. While there is one, nothing may change them: [`Filter::with_headers`]
/// gives them to functions that do not.
#[derive(Debug, Clone)]
pub(crate) struct Headers<'a>(std::slice::Iter<'a, Header>);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.next()?;
        // SAFETY: Envoy's headers do not change while this iterator lives.
        Some(unsafe { (header.key.bytes(), header.value.bytes()) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// The pieces of a body in Envoy's own memory. While there are any, nothing may be removed from the body:
/// [`Filter::with_body`] gives them to functions that do not. They may append to it, because Envoy never moves bytes
/// that a body has: each piece is memory of its own.
#[derive(Debug)]
pub(crate) struct Pieces<'a>(std::slice::Iter<'a, Buffer>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.0.next()?;
        // SAFETY: Envoy's body keeps these bytes while this iterator lives.
        Some(unsafe { piece.bytes() })
    }
}

/// A function that is new in Envoy 1.40. Envoy 1.38 and 1.39 have all that the module calls, but 1.39 ends in
/// a segmentation fault when a failed hedged attempt is answered.
const NEW_IN_1_40: &CStr = c"envoy_dynamic_module_callback_http_has_filter_state";

/// Returns the name of a function that this Envoy lacks, of all that the module calls and
/// [`NEW_IN_1_40`].
pub(crate) fn missing_function() -> Option<&'static str> {
    let mut names = CALLBACKS.iter().copied().chain([NEW_IN_1_40]);
    let missing = names.find(|name| {
        // SAFETY: the name is a C string, and a null handle stands for the whole process.
        unsafe { abi::dlsym(ptr::null_mut(), name.as_ptr()) }.is_null()
    });
    missing?.to_str().ok()
}

/// Returns whether Envoy logs messages of this level.
pub(crate) fn is_log_enabled(level: LogLevel) -> bool {
    // SAFETY: the function takes any level.
    unsafe { abi::envoy_dynamic_module_callback_log_enabled(level as u32) }
}

/// Writes a message to Envoy's log.
pub(crate) fn log(level: LogLevel, message: &str) {
    // SAFETY: Envoy copies the message before it returns.
    unsafe { abi::envoy_dynamic_module_callback_log(level as u32, Buffer::of(message.as_bytes())) }
}

impl Filter {
    /// Returns the request behind a pointer.
    ///
    /// # Safety
    /// The pointer is Envoy's, and the result is not used after the hook
    /// `envoy_dynamic_module_on_http_filter_destroy` of this request, nor in another thread.
    pub(crate) unsafe fn new(pointer: FilterPtr) -> Self {
        Self(pointer)
    }

    /// Calls `read` with all headers, in Envoy's own memory.
    pub(crate) fn with_headers<T>(
        self,
        kind: HeaderType,
        read: impl FnOnce(Headers<'_>) -> T,
    ) -> T {
        const EMPTY: Header = Header {
            key: Buffer::NULL,
            value: Buffer::NULL,
        };
        let kind = kind as u32;
        // SAFETY: `Filter` is valid.
        let count =
            unsafe { abi::envoy_dynamic_module_callback_http_get_headers_size(self.0, kind) };
        with_room::<_, 48, _>(EMPTY, count, |headers| {
            let place = headers.as_mut_ptr();
            // SAFETY: there is room for as many headers as Envoy has just counted.
            let found = count > 0
                && unsafe {
                    abi::envoy_dynamic_module_callback_http_get_headers(self.0, kind, place)
                };
            let headers = if found { &*headers } else { &[] };
            read(Headers(headers.iter()))
        })
    }

    /// Sets a header, and removes all others of its name.
    pub(crate) fn set_header(self, kind: HeaderType, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: Envoy copies both.
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_header(
                self.0,
                kind as u32,
                Buffer::of(name),
                Buffer::of(value),
            )
        }
    }

    /// Adds a header beside others of its name.
    pub(crate) fn add_header(self, kind: HeaderType, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: Envoy copies both.
        unsafe {
            abi::envoy_dynamic_module_callback_http_add_header(
                self.0,
                kind as u32,
                Buffer::of(name),
                Buffer::of(value),
            )
        }
    }

    /// Removes all headers of a name.
    pub(crate) fn remove_header(self, kind: HeaderType, name: &[u8]) {
        // SAFETY: Envoy copies the name, and takes a null value for a removal.
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_header(
                self.0,
                kind as u32,
                Buffer::of(name),
                Buffer::NULL,
            );
        }
    }

    /// Returns the number of bytes of a body.
    pub(crate) fn body_size(self, kind: BodyType) -> usize {
        // SAFETY: `Filter` is valid.
        unsafe { abi::envoy_dynamic_module_callback_http_get_body_size(self.0, kind as u32) }
    }

    /// Calls `read` with the pieces of a body, in Envoy's own memory.
    pub(crate) fn with_body<T>(self, kind: BodyType, read: impl FnOnce(Pieces<'_>) -> T) -> T {
        let kind = kind as u32;
        // SAFETY: `Filter` is valid.
        let count =
            unsafe { abi::envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, kind) };
        with_room::<_, 8, _>(Buffer::NULL, count, |chunks| {
            let place = chunks.as_mut_ptr();
            // SAFETY: there is room for as many chunks as Envoy has just counted.
            let found = count > 0
                && unsafe {
                    abi::envoy_dynamic_module_callback_http_get_body_chunks(self.0, kind, place)
                };
            let chunks = if found { &*chunks } else { &[] };
            read(Pieces(chunks.iter()))
        })
    }

    /// Removes the first bytes of a body, and all if there are fewer.
    pub(crate) fn drain_body(self, kind: BodyType, bytes: usize) {
        // SAFETY: Envoy removes no more bytes than there are.
        unsafe {
            abi::envoy_dynamic_module_callback_http_drain_body(self.0, kind as u32, bytes);
        }
    }

    /// Appends bytes to a body. Returns `false` if Envoy has no place for them.
    pub(crate) fn append_body(self, kind: BodyType, bytes: &[u8]) -> bool {
        // SAFETY: Envoy copies the bytes.
        unsafe {
            abi::envoy_dynamic_module_callback_http_append_body(
                self.0,
                kind as u32,
                Buffer::of(bytes),
            )
        }
    }

    /// Returns whether the request body that has just come is the one that Envoy holds.
    pub(crate) fn received_buffered_request_body(self) -> bool {
        // SAFETY: `Filter` is valid.
        unsafe { abi::envoy_dynamic_module_callback_http_received_buffered_request_body(self.0) }
    }

    /// Returns whether the response body that has just come is the one that Envoy holds.
    pub(crate) fn received_buffered_response_body(self) -> bool {
        // SAFETY: `Filter` is valid.
        unsafe { abi::envoy_dynamic_module_callback_http_received_buffered_response_body(self.0) }
    }

    /// Returns whether metadata has keys in a namespace.
    pub(crate) fn has_metadata(self, source: MetadataSource, namespace: &[u8]) -> bool {
        // SAFETY: Envoy does not keep the name.
        let count = unsafe {
            abi::envoy_dynamic_module_callback_http_get_metadata_keys_count(
                self.0,
                source as u32,
                Buffer::of(namespace),
            )
        };
        count > 0
    }

    /// Stores an object in filter state.
    pub(crate) fn set_filter_state(self, key: &[u8], value: &[u8]) -> bool {
        // SAFETY: Envoy copies both.
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(
                self.0,
                Buffer::of(key),
                Buffer::of(value),
            )
        }
    }

    /// Returns an object of filter state.
    pub(crate) fn filter_state(self, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = Buffer::NULL;
        // SAFETY: Envoy writes to `value`.
        let found = unsafe {
            abi::envoy_dynamic_module_callback_http_get_filter_state_bytes(
                self.0,
                Buffer::of(key),
                &raw mut value,
            )
        };
        // SAFETY: nothing changes the object before the copy is made.
        found.then(|| unsafe { value.bytes() }.to_vec())
    }

    /// Returns an attribute that is a text.
    pub(crate) fn text_attribute(self, attribute: Attribute) -> Option<Vec<u8>> {
        let mut value = Buffer::NULL;
        // SAFETY: Envoy writes to `value`.
        let found = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.0,
                attribute as u32,
                &raw mut value,
            )
        };
        // SAFETY: nothing changes the attribute before the copy is made.
        found.then(|| unsafe { value.bytes() }.to_vec())
    }

    /// Returns an attribute that is a number.
    pub(crate) fn number_attribute(self, attribute: Attribute) -> Option<u64> {
        let mut value = 0;
        // SAFETY: Envoy writes to `value`.
        let found = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_get_attribute_int(
                self.0,
                attribute as u32,
                &raw mut value,
            )
        };
        found.then_some(value)
    }

    /// Returns the configuration of the request's route, virtual host or route table, whichever is nearest.
    pub(crate) fn route_config(&self) -> Option<&RouteConfig> {
        // SAFETY: `Filter` is valid.
        let config =
            unsafe { abi::envoy_dynamic_module_callback_get_most_specific_route_config(self.0) };
        // SAFETY: the pointer is null, or what the hook for route configurations has returned. The request
        // holds its route, and the route its configuration.
        unsafe { config.cast::<RouteConfig>().as_ref() }
    }

    /// Sends a response in the place of the upstream's.
    pub(crate) fn respond<'a>(
        self,
        status: u16,
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: &[u8],
        details: &str,
    ) {
        let headers: Vec<Header> = headers
            .map(|(name, value)| Header {
                key: Buffer::of(name),
                value: Buffer::of(value),
            })
            .collect();
        // SAFETY: Envoy copies everything before it returns.
        unsafe {
            abi::envoy_dynamic_module_callback_http_send_response(
                self.0,
                u32::from(status),
                headers.as_ptr(),
                headers.len(),
                Buffer::of(body),
                Buffer::of(details.as_bytes()),
            );
        }
    }

    /// Resets the request.
    pub(crate) fn reset(self, details: &str) {
        // SAFETY: Envoy copies the details.
        unsafe {
            abi::envoy_dynamic_module_callback_http_filter_reset_stream(
                self.0,
                abi::LOCAL_RESET,
                Buffer::of(details.as_bytes()),
            );
        }
    }

    /// Has Envoy call the hook for scheduled events, after the present callback. Envoy does not call it for
    /// a request that has ended until then.
    pub(crate) fn schedule(self) {
        // SAFETY: Envoy makes the scheduler, which is used here alone. The event outlives it.
        unsafe {
            let scheduler = abi::envoy_dynamic_module_callback_http_filter_scheduler_new(self.0);
            if !scheduler.is_null() {
                abi::envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 0);
                abi::envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
            }
        }
    }
}
