//! A reader of event streams that is independent of the invoker's writer: AWS's own.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Bytes, BytesMut};
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
    decoder: MessageFrameDecoder,
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
            decoder: MessageFrameDecoder::new(),
            connection,
        }
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event's type and payload.
    pub async fn next(&mut self) -> Option<(String, Bytes)> {
        let message = loop {
            let frame = self.decoder.decode_frame(&mut self.buffer).unwrap();
            if let DecodedFrame::Complete(message) = frame {
                break message;
            }
            let Some(frame) = self.response.body_mut().frame().await else {
                assert!(self.buffer.is_empty(), "cut off");
                return None;
            };
            let data = frame.unwrap().into_data().unwrap();
            self.buffer.extend_from_slice(&data);
        };
        let header = |name: &str| {
            let mut headers = message.headers().iter();
            let header = headers.find(|header| header.name().as_str() == name)?;
            Some(header.value().as_string().unwrap().as_str().to_owned())
        };
        assert_eq!(header(":message-type").unwrap(), "event");
        assert_eq!(message.headers().len(), 3, "{message:?}");
        let event_type = header(":event-type").unwrap();
        Some((event_type, message.payload().clone()))
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
