//! The upstream, which responds to every request with the same prepared bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lambda_api::headers;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Reader;

const REQUEST_ID: &str = "5f2b4c1e-0000-4000-8000-000000000000";

/// A prepared response in pieces.
#[derive(Debug, Clone)]
pub struct Script {
    /// The bytes, including the head.
    pub pieces: Vec<Bytes>,
    /// The pause before each piece except the first.
    pub pause: Duration,
    /// The size of the body.
    pub body_bytes: usize,
}

impl Script {
    /// Returns a JSON response.
    pub fn json(body: &[u8]) -> Self {
        Self::whole("application/json", body)
    }

    /// Returns a response with this body.
    pub fn whole(content_type: &str, body: &[u8]) -> Self {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             {}: {REQUEST_ID}\r\n{}: $LATEST\r\n\r\n",
            body.len(),
            headers::REQUEST_ID,
            headers::EXECUTED_VERSION
        )
        .into_bytes();
        response.extend_from_slice(body);
        Self {
            pieces: vec![response.into()],
            pause: Duration::ZERO,
            body_bytes: body.len(),
        }
    }

    /// Returns a response with these pieces of a body, with a pause between them.
    pub fn streamed(content_type: &str, body: &[Bytes], pause: Duration) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\
             {}: {REQUEST_ID}\r\n\r\n",
            headers::REQUEST_ID
        );
        let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(body.len());
        let mut before = head.into_bytes();
        for (index, bytes) in body.iter().enumerate() {
            let mut piece = std::mem::take(&mut before);
            piece.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
            piece.extend_from_slice(bytes);
            piece.extend_from_slice(b"\r\n");
            if index + 1 == body.len() {
                piece.extend_from_slice(b"0\r\n\r\n");
            }
            pieces.push(piece);
        }
        if pause.is_zero() {
            pieces = vec![pieces.concat()];
        }
        Self {
            pieces: pieces.into_iter().map(Bytes::from).collect(),
            pause,
            body_bytes: body.iter().map(Bytes::len).sum(),
        }
    }
}

/// An upstream that runs until the runtime ends.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The address on which it listens.
    pub address: SocketAddr,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Upstream {
    /// Serves `script` on a free port of the loopback interface.
    ///
    /// # Errors
    /// The system has no port left.
    pub async fn serve(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Self {
            address: listener.local_addr()?,
            script: Arc::new(Mutex::new(Arc::new(script))),
        };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    // A proxy that ends breaks its connections.
                    let _ = serving.respond(stream).await;
                });
            }
        });
        Ok(upstream)
    }

    /// Changes the response.
    pub fn play(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    fn script(&self) -> Arc<Script> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&script)
    }

    async fn respond(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = Reader::new(reader);
        while reader.request().await? {
            let script = self.script();
            for (index, piece) in script.pieces.iter().enumerate() {
                if index > 0 {
                    tokio::time::sleep(script.pause).await;
                }
                writer.write_all(piece).await?;
            }
        }
        Ok(())
    }
}
