//! The part of `source/extensions/dynamic_modules/abi/abi.h` that the module uses, as in Envoy
//! 1.40.
#![expect(unsafe_code, reason = "declarations of foreign functions")]

use std::ffi::{CStr, c_char, c_void};

/// `envoy_dynamic_module_type_http_filter_envoy_ptr`: one request in Envoy.
pub(crate) type FilterPtr = *mut c_void;

/// `envoy_dynamic_module_type_http_filter_config_envoy_ptr`: a filter's configuration in Envoy.
pub(crate) type ConfigPtr = *mut c_void;

/// `envoy_dynamic_module_type_http_filter_scheduler_module_ptr`.
pub(super) type SchedulerPtr = *mut c_void;

/// `envoy_dynamic_module_type_envoy_buffer` and `envoy_dynamic_module_type_module_buffer`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffer {
    pub(super) ptr: *const u8,
    pub(super) length: usize,
}

/// `envoy_dynamic_module_type_envoy_http_header` and `envoy_dynamic_module_type_module_http_header`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) key: Buffer,
    pub(super) value: Buffer,
}

/// `envoy_dynamic_module_type_http_header_type`.
#[repr(u32)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeaderType {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    ResponseTrailers = 3,
}

/// `envoy_dynamic_module_type_http_body_type`.
#[repr(u32)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodyType {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// `envoy_dynamic_module_type_attribute_id`.
#[repr(u32)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute {
    RequestProtocol = 10,
    RequestTotalSize = 14,
    SourceAddress = 24,
    ConnectionId = 28,
    PeerCertificateDigest = 38,
}

/// `envoy_dynamic_module_type_metadata_source`.
#[repr(u32)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetadataSource {
    Dynamic = 0,
    Route = 1,
    Cluster = 2,
}

/// `envoy_dynamic_module_type_log_level`.
#[repr(u32)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogLevel {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// `envoy_dynamic_module_type_http_filter_stream_reset_reason_LocalReset`.
pub(super) const LOCAL_RESET: u32 = 0;

/// `envoy_dynamic_module_type_metrics_result_Success`.
pub(super) const METRICS_SUCCESS: u32 = 0;

/// Declares Envoy's functions, and lists their names.
macro_rules! callbacks {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        unsafe extern "C" {
            $(pub(super) fn $name($($argument: $type),*) $(-> $result)?;)+
        }

        /// The names of all these functions.
        pub(super) const CALLBACKS: &[&CStr] = &[$({
            // The names have no other zero than the one at the end.
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            }
        }),+];
    };
}

callbacks! {
    fn envoy_dynamic_module_callback_log(level: u32, message: Buffer);
    fn envoy_dynamic_module_callback_log_enabled(level: u32) -> bool;
    fn envoy_dynamic_module_callback_http_get_headers_size(filter: FilterPtr, kind: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_headers(
        filter: FilterPtr,
        kind: u32,
        headers: *mut Header
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        filter: FilterPtr,
        kind: u32,
        key: Buffer,
        value: Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_add_header(
        filter: FilterPtr,
        kind: u32,
        key: Buffer,
        value: Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_send_response(
        filter: FilterPtr,
        status: u32,
        headers: *const Header,
        header_count: usize,
        body: Buffer,
        details: Buffer
    );
    fn envoy_dynamic_module_callback_http_get_body_size(filter: FilterPtr, kind: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: FilterPtr,
        kind: u32
    ) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: FilterPtr,
        kind: u32,
        chunks: *mut Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_append_body(
        filter: FilterPtr,
        kind: u32,
        data: Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_drain_body(
        filter: FilterPtr,
        kind: u32,
        bytes: usize
    ) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_request_body(filter: FilterPtr) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_response_body(filter: FilterPtr) -> bool;
    fn envoy_dynamic_module_callback_http_get_metadata_keys_count(
        filter: FilterPtr,
        source: u32,
        namespace: Buffer
    ) -> usize;
    fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: FilterPtr,
        key: Buffer,
        value: Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        filter: FilterPtr,
        key: Buffer,
        value: *mut Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: FilterPtr,
        attribute: u32,
        value: *mut Buffer
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: FilterPtr,
        attribute: u32,
        value: *mut u64
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_reset_stream(
        filter: FilterPtr,
        reason: u32,
        details: Buffer
    );
    fn envoy_dynamic_module_callback_get_most_specific_route_config(
        filter: FilterPtr
    ) -> *const c_void;
    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: ConfigPtr,
        name: Buffer,
        labels: *const Buffer,
        label_count: usize,
        id: *mut usize
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: ConfigPtr,
        name: Buffer,
        labels: *const Buffer,
        label_count: usize,
        id: *mut usize
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: ConfigPtr,
        id: usize,
        values: *const Buffer,
        value_count: usize,
        amount: u64
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_record_histogram_value(
        config: ConfigPtr,
        id: usize,
        values: *const Buffer,
        value_count: usize,
        amount: u64
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_scheduler_new(filter: FilterPtr) -> SchedulerPtr;
    fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
        scheduler: SchedulerPtr,
        event: u64
    );
    fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: SchedulerPtr);
}

unsafe extern "C" {
    /// Looks a function up in everything that the process has loaded, if `handle` is null: POSIX, `dlsym`.
    pub(super) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}
