//! The host calls: no other file calls Envoy while a request passes.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_filter_core::config::RouteSettings;
use lambda_filter_core::exchange::{Capabilities, Host, Property, Side};
use lambda_filter_core::metrics::{FunctionMetrics, Metric};
use lambda_filter_core::request::HeaderMap;
use lambda_filter_core::response::{HttpResponse, PartBuffer};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType, Status};

/// The request in whose callback the filter is.
///
/// The SDK panics on a status that it does not expect, which would end every request of the
/// worker. So each call is made only where Envoy accepts it: a body is set only after a
/// body callback, and only below the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvoyHost;

/// A host call, by its name in the proxy-wasm ABI.
#[derive(Debug, Clone, Copy)]
#[expect(
    non_camel_case_types,
    reason = "the names of the ABI, as they are logged"
)]
enum HostCall {
    proxy_close_stream,
    proxy_define_metric,
    proxy_get_buffer_bytes,
    proxy_get_current_time_nanoseconds,
    proxy_get_header_map_pairs,
    proxy_get_property,
    proxy_increment_metric,
    proxy_record_metric,
    proxy_replace_header_map_value,
    proxy_send_local_response,
    proxy_set_buffer_bytes,
    proxy_set_header_map_pairs,
    proxy_set_property,
    proxy_set_tick_period_milliseconds,
}

thread_local! {
    /// A bit for each [`HostCall`] that has failed in this VM.
    static FAILED: Cell<u16> = const { Cell::new(0) };
}

/// Returns the result of a host call, or the default if it failed. The first failure of each call in
/// a VM is logged: one cause would fail for every request.
fn or_logged<T: Default>(call: HostCall, result: Result<T, Status>) -> T {
    result.unwrap_or_else(|status| {
        log_failure(call, status);
        T::default()
    })
}

fn log_failure(call: HostCall, status: Status) {
    let bit = 1 << call as u16;
    let failed = FAILED.get();
    if failed & bit == 0 {
        FAILED.set(failed | bit);
        log::error!("the host call {call:?} failed: {status:?}; its next failures are not logged");
    }
}

fn get(path: Vec<&str>) -> Option<Vec<u8>> {
    or_logged(HostCall::proxy_get_property, hostcalls::get_property(path))
}

fn header_map(side: Side) -> MapType {
    match side {
        Side::Request => MapType::HttpRequestHeaders,
        Side::Response => MapType::HttpResponseHeaders,
    }
}

fn trailer_map(side: Side) -> MapType {
    match side {
        Side::Request => MapType::HttpRequestTrailers,
        Side::Response => MapType::HttpResponseTrailers,
    }
}

fn body_buffer(side: Side) -> BufferType {
    match side {
        Side::Request => BufferType::HttpRequestBody,
        Side::Response => BufferType::HttpResponseBody,
    }
}

impl Host for EnvoyHost {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            makes_bodies: false,
            restores_headers: true,
            holds_headers: false,
            has_dynamic_metadata: true,
            changes_parts: false,
        }
    }

    fn route_settings(&self) -> RouteSettings {
        let levels = [
            "route_metadata",
            "virtual_host_metadata",
            "cluster_metadata",
        ];
        RouteSettings::Metadata(levels.map(|name| get(vec!["xds", name]).unwrap_or_default()))
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        get(property.path().to_vec())
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        get(vec![name])
    }

    fn now_ns(&self) -> i64 {
        let now = hostcalls::get_current_time().map(Some);
        let now: Option<SystemTime> = or_logged(HostCall::proxy_get_current_time_nanoseconds, now);
        let since = now.unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
    }

    fn record(&self, function: &FunctionMetrics, metric: Metric, value: u64) {
        let is_histogram = metric.is_histogram();
        let id = function.id(metric, || {
            let kind = match is_histogram {
                true => MetricType::Histogram,
                false => MetricType::Counter,
            };
            let id = hostcalls::define_metric(kind, &function.full_name(metric));
            or_logged(HostCall::proxy_define_metric, id.map(Some))
        });
        let Some(id) = id else { return };
        if is_histogram {
            let recorded = hostcalls::record_metric(id, value);
            or_logged(HostCall::proxy_record_metric, recorded);
        } else {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let added = hostcalls::increment_metric(id, value);
            or_logged(HostCall::proxy_increment_metric, added);
        }
    }

    fn set_filter_state(&self, name: &str, value: &[u8]) {
        let set = hostcalls::set_property(vec![name], Some(value));
        or_logged(HostCall::proxy_set_property, set);
    }

    fn headers(&self, side: Side) -> HeaderMap {
        let headers = hostcalls::get_map_bytes(header_map(side));
        or_logged(HostCall::proxy_get_header_map_pairs, headers)
    }

    fn set_header(&self, side: Side, name: &str, value: &[u8]) {
        let set = hostcalls::set_map_value_bytes(header_map(side), name, Some(value));
        or_logged(HostCall::proxy_replace_header_map_value, set);
    }

    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>) {
        let set = hostcalls::set_map_bytes(header_map(side), headers);
        or_logged(HostCall::proxy_set_header_map_pairs, set);
    }

    fn body(&self, side: Side) -> Vec<u8> {
        let body = hostcalls::get_buffer(body_buffer(side), 0, usize::MAX);
        or_logged(HostCall::proxy_get_buffer_bytes, body).unwrap_or_default()
    }

    fn set_body(&self, side: Side, body: &[u8]) {
        let set = hostcalls::set_buffer(body_buffer(side), 0, usize::MAX, body);
        or_logged(HostCall::proxy_set_buffer_bytes, set);
    }

    fn change_part(&self, _change: impl FnMut(&[u8], &mut PartBuffer) -> bool) -> bool {
        false
    }

    fn clear_trailers(&self, side: Side) {
        let cleared = hostcalls::set_map_bytes(trailer_map(side), Vec::new());
        or_logged(HostCall::proxy_set_header_map_pairs, cleared);
    }

    fn respond(&self, response: &HttpResponse) {
        let headers = response.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        let status = u32::from(response.status);
        let sent = hostcalls::send_http_response(status, headers.collect(), Some(&response.body));
        or_logged(HostCall::proxy_send_local_response, sent);
    }

    fn request_tick(&self, delay: Duration, _context: u32) {
        let set = hostcalls::set_tick_period(delay);
        or_logged(HostCall::proxy_set_tick_period_milliseconds, set);
    }

    fn enter(&self, context: u32) -> bool {
        hostcalls::set_effective_context(context).is_ok()
    }

    fn reset(&self) {
        let reset = hostcalls::reset_http_response();
        or_logged(HostCall::proxy_close_stream, reset);
    }
}
