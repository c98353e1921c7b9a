//! The only place that calls Envoy.

use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};

use lambda_filter_core::exchange::{Host, Side};
use lambda_filter_core::request::HeaderMap;
use lambda_filter_core::response::HttpResponse;

/// The request in whose callback the filter is.
///
/// The SDK panics on a status that it does not expect, which would end every request of the
/// worker. So each call is made only where Envoy is known to answer it: a body is set only after a
/// body callback, and only below the limits.
#[derive(Debug, Clone, Copy)]
pub struct EnvoyHost;

fn map(side: Side) -> MapType {
    match side {
        Side::Request => MapType::HttpRequestHeaders,
        Side::Response => MapType::HttpResponseHeaders,
    }
}

fn buffer(side: Side) -> BufferType {
    match side {
        Side::Request => BufferType::HttpRequestBody,
        Side::Response => BufferType::HttpResponseBody,
    }
}

impl Host for EnvoyHost {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        hostcalls::get_property(path.to_vec()).unwrap_or_default()
    }

    fn now_ns(&self) -> i64 {
        let now = hostcalls::get_current_time().unwrap_or(UNIX_EPOCH);
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn set_filter_state(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_property(vec![name], Some(value));
    }

    fn headers(&self, side: Side) -> HeaderMap {
        hostcalls::get_map_bytes(map(side)).unwrap_or_default()
    }

    fn set_header(&self, side: Side, name: &str, value: &[u8]) {
        let _ = hostcalls::set_map_value_bytes(map(side), name, Some(value));
    }

    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>) {
        let _ = hostcalls::set_map_bytes(map(side), headers);
    }

    fn body(&self, side: Side) -> Vec<u8> {
        let body = hostcalls::get_buffer(buffer(side), 0, usize::MAX);
        body.unwrap_or_default().unwrap_or_default()
    }

    fn set_body(&self, side: Side, body: &[u8]) {
        let _ = hostcalls::set_buffer(buffer(side), 0, usize::MAX, body);
    }

    fn clear_trailers(&self, side: Side) {
        let trailers = match side {
            Side::Request => MapType::HttpRequestTrailers,
            Side::Response => MapType::HttpResponseTrailers,
        };
        let _ = hostcalls::set_map_bytes(trailers, Vec::new());
    }

    fn respond(&self, response: &HttpResponse) {
        let headers = response.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        let status = u32::from(response.status);
        let _ = hostcalls::send_http_response(status, headers.collect(), Some(&response.body));
    }

    fn reset(&self) {
        let _ = hostcalls::reset_http_response();
    }
}
