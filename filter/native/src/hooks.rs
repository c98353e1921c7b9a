//! The functions that Envoy calls. Each turns pointers into references and calls [`module`], which lets no
//! panic through.
#![expect(
    unsafe_code,
    reason = "functions that foreign code calls, with its pointers"
)]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use lambda_filter_core::exchange::Flow;

use crate::abi::buffer::Buffer;
use crate::abi::envoy::{Filter, FilterPtr};
use crate::abi::filter_config::{ConfigPtr, FilterConfig};
use crate::module::{self, Request};
use crate::plugin::Plugin;
use crate::settings::RouteConfig;

/// Hands an object over to Envoy, which gives it back to [`take`].
fn give<T>(object: Option<T>) -> *const c_void {
    object.map_or(ptr::null(), |object| {
        Box::into_raw(Box::new(object)).cast_const().cast()
    })
}

/// Takes back what [`give`] handed over.
///
/// # Safety
/// `pointer` is from `give::<T>`, not null, and Envoy does not use it again.
unsafe fn take<T>(pointer: *const c_void) -> T {
    // SAFETY: the pointer is that of a box, by the contract of this function.
    *unsafe { Box::from_raw(pointer.cast_mut().cast::<T>()) }
}

/// Returns the request behind a pointer.
///
/// # Safety
/// `pointer` is from `give::<Request>`, and nothing else uses it: Envoy calls the hooks of a request one
/// at a time.
unsafe fn request<'a>(pointer: *const c_void) -> &'a mut Request {
    // SAFETY: by the contract of this function.
    unsafe { &mut *pointer.cast_mut().cast::<Request>() }
}

/// Returns a status: `Continue`, or in headers and trailers `StopIteration`, in a body
/// `StopIterationAndBuffer`.
fn status(flow: Flow) -> u32 {
    match flow {
        Flow::Continue => 0,
        Flow::Pause => 1,
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    module::start().map_or(ptr::null(), CStr::as_ptr)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: ConfigPtr,
    name: Buffer,
    settings: Buffer,
) -> *const c_void {
    // SAFETY: the pointer is Envoy's, and nothing uses it after the plugin is dropped, in the hook below.
    let config = unsafe { FilterConfig::new(config) };
    // SAFETY: Envoy's buffers live as long as this call.
    give(unsafe { Plugin::read(config, name.bytes(), settings.bytes()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
    // SAFETY: the pointer is from the hook above, and this is Envoy's last use of it.
    drop(unsafe { take::<Plugin>(config) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: Buffer,
    settings: Buffer,
) -> *const c_void {
    // SAFETY: Envoy's buffer lives as long as this call.
    give(RouteConfig::read(unsafe { settings.bytes() }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(
    config: *const c_void,
) {
    // SAFETY: the pointer is from the hook above, and this is Envoy's last use of it.
    drop(unsafe { take::<RouteConfig>(config) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void,
    filter: FilterPtr,
) -> *const c_void {
    // SAFETY: the pointer is from the hook for configurations. Envoy destroys a configuration after the
    // requests that use it.
    let plugin = unsafe { &*config.cast::<Plugin>() };
    // SAFETY: the pointer is Envoy's, and `Request::end` forgets it.
    let filter = unsafe { Filter::new(filter) };
    give(Some(Request::begin(plugin, filter)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(request: *const c_void) {
    // SAFETY: the pointer is from the hook above, and this is Envoy's last use of it.
    unsafe { take::<Request>(request) }.end();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    _filter: FilterPtr,
    pointer: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_request_headers(end_of_stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    _filter: FilterPtr,
    pointer: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_request_body(end_of_stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    _filter: FilterPtr,
    pointer: *const c_void,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_request_trailers())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _filter: FilterPtr,
    pointer: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_response_headers(end_of_stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    _filter: FilterPtr,
    pointer: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_response_body(end_of_stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    _filter: FilterPtr,
    pointer: *const c_void,
) -> u32 {
    // SAFETY: Envoy's pointer to the request.
    status(unsafe { request(pointer) }.on_response_trailers())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    _filter: FilterPtr,
    pointer: *const c_void,
    _event: u64,
) {
    // SAFETY: Envoy's pointer to the request.
    unsafe { request(pointer) }.on_scheduled();
}

/// Returns `Continue`: the local reply is sent as it is.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    _filter: FilterPtr,
    _request: *const c_void,
    _status: u32,
    _details: Buffer,
    _is_reset: bool,
) -> u32 {
    0
}

/// Defines hooks for events that the module takes no notice of. Envoy refuses a module without them.
macro_rules! ignored {
    ($($name:ident)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() {}
        )+
    };
}

ignored! {
    envoy_dynamic_module_on_http_filter_stream_complete
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
