//! A reader of event streams that uses AWS's decoder, which the invoker does not use.

use std::collections::BTreeMap;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Invoker, request};

const PATH: &str = "/2021-11-15/functions/f/response-streaming-invocations";

/// A response whose events are read one by one.
pub(crate) struct Events {
    pub(crate) response: Response<Incoming>,
    buffer: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Events {
    /// Invokes `f`.
    pub(crate) async fn invoke(invoker: &Invoker, headers: &[(&str, &str)], event: &Value) -> Self {
        let stream = TokioIo::new(invoker.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = request(Method::POST, PATH, headers, event.to_string());
        let response = sender.send_request(request).await.unwrap();
        Self {
            response,
            buffer: BytesMut::new(),
            connection,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the type and the payload of the next event.
    pub(crate) async fn next(&mut self) -> Option<(String, Bytes)> {
        loop {
            let mut rest = &self.buffer[..];
            // The decoder checks the checksums.
            let frame = MessageFrameDecoder::new().decode_frame(&mut rest);
            if let DecodedFrame::Complete(message) = frame.unwrap() {
                let read = self.buffer.len() - rest.len();
                self.buffer.advance(read);
                let headers = message.headers().iter();
                let headers = headers.map(|header| {
                    let value = header.value().as_string().unwrap().as_str();
                    (header.name().as_str(), value)
                });
                let headers: BTreeMap<_, _> = headers.collect();
                assert_eq!(headers[":message-type"], "event");
                assert!(headers.contains_key(":content-type"));
                assert_eq!(headers.len(), 3);
                let payload = message.payload().clone();
                return Some((headers[":event-type"].to_owned(), payload));
            }
            match self.response.body_mut().frame().await {
                Some(frame) => {
                    let data = frame.unwrap().into_data().unwrap();
                    self.buffer.extend_from_slice(&data);
                }
                None => {
                    assert!(self.buffer.is_empty(), "truncated");
                    return None;
                }
            }
        }
    }

    /// Returns the payload of the next event, which must be a chunk.
    pub(crate) async fn chunk(&mut self) -> Bytes {
        let (event_type, payload) = self.next().await.unwrap();
        assert_eq!(event_type, "PayloadChunk", "{payload:?}");
        payload
    }

    /// Returns the JSON of the last event.
    pub(crate) async fn complete(&mut self) -> Value {
        let (event_type, payload) = self.next().await.unwrap();
        assert_eq!(event_type, "InvokeComplete", "{payload:?}");
        assert!(self.next().await.is_none());
        serde_json::from_slice(&payload).unwrap()
    }

    /// Returns the function error of the last event.
    pub(crate) async fn error(&mut self) -> Value {
        let complete = self.complete().await;
        assert_eq!(complete["ErrorCode"], "Unhandled");
        serde_json::from_str(complete["ErrorDetails"].as_str().unwrap()).unwrap()
    }
}
