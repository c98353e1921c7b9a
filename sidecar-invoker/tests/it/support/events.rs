//! A reader of event streams that is independent of the invoker's writer.

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

/// A response of which the events are read one by one.
pub struct Events {
    pub response: Response<Incoming>,
    buffer: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Events {
    pub async fn of(invoker: &Invoker, headers: &[(&str, &str)], event: &Value) -> Self {
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

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    async fn fill(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes {
            match self.response.body_mut().frame().await {
                Some(frame) => self
                    .buffer
                    .extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => return false,
            }
        }
        true
    }

    /// The next event's type and payload.
    pub async fn next(&mut self) -> Option<(String, Bytes)> {
        if !self.fill(12).await {
            assert!(self.buffer.is_empty(), "cut off");
            return None;
        }
        let total = (&self.buffer[..4]).get_u32() as usize;
        let header_bytes = (&self.buffer[4..8]).get_u32() as usize;
        assert_eq!(
            (&self.buffer[8..12]).get_u32(),
            crc32fast::hash(&self.buffer[..8])
        );
        assert!(self.fill(total).await, "cut off");
        let message = self.buffer.split_to(total).freeze();
        assert_eq!(
            (&message[total - 4..]).get_u32(),
            crc32fast::hash(&message[..total - 4])
        );
        let mut headers = &message[12..12 + header_bytes];
        let mut event_type = None;
        while headers.has_remaining() {
            let name = take(&mut headers, |headers| usize::from(headers.get_u8()));
            assert_eq!(headers.get_u8(), 7, "text");
            let value = take(&mut headers, |headers| usize::from(headers.get_u16()));
            match name.as_str() {
                ":event-type" => event_type = Some(value),
                ":message-type" => assert_eq!(value, "event"),
                ":content-type" => {}
                other => panic!("{other}"),
            }
        }
        let payload = message.slice(12 + header_bytes..total - 4);
        Some((event_type.unwrap(), payload))
    }

    pub async fn chunk(&mut self) -> Bytes {
        let (event_type, payload) = self.next().await.unwrap();
        assert_eq!(event_type, "PayloadChunk", "{payload:?}");
        payload
    }

    /// What the last event says; nothing may follow it.
    pub async fn complete(&mut self) -> Value {
        let (event_type, payload) = self.next().await.unwrap();
        assert_eq!(event_type, "InvokeComplete", "{payload:?}");
        assert!(self.next().await.is_none());
        serde_json::from_slice(&payload).unwrap()
    }

    /// The function error in the last event.
    pub async fn error(&mut self) -> Value {
        let complete = self.complete().await;
        assert_eq!(complete["ErrorCode"], "Unhandled");
        serde_json::from_str(complete["ErrorDetails"].as_str().unwrap()).unwrap()
    }
}

fn take(from: &mut &[u8], length: impl FnOnce(&mut &[u8]) -> usize) -> String {
    let length = length(from);
    let text = String::from_utf8(from[..length].to_vec()).unwrap();
    from.advance(length);
    text
}
