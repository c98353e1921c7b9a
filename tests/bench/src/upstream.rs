//! The upstream: answers every request with the same prepared bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Reader;

/// What is answered: the pieces of a whole response, the second and later ones after a pause.
#[derive(Debug, Clone)]
pub struct Script {
    /// The bytes, head included.
    pub pieces: Vec<Bytes>,
    /// The pause before each piece but the first.
    pub pause: Duration,
    /// The size of the body.
    pub body_bytes: usize,
}

impl Script {
    /// A JSON response of a service or of the Invoke API.
    pub fn json(body: &[u8]) -> Self {
        Self::whole("application/json", body)
    }

    /// A response with this body.
    pub fn whole(content_type: &str, body: &[u8]) -> Self {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             x-amzn-requestid: 5f2b4c1e-0000-4000-8000-000000000000\r\n\
             x-amz-executed-version: $LATEST\r\n\r\n",
            body.len()
        )
        .into_bytes();
        response.extend_from_slice(body);
        Self {
            pieces: vec![response.into()],
            pause: Duration::ZERO,
            body_bytes: body.len(),
        }
    }

    /// A response whose body comes in these pieces, with a pause between each two; at once if there
    /// is none.
    pub fn streamed(content_type: &str, body: &[Bytes], pause: Duration) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\
             x-amzn-requestid: 5f2b4c1e-0000-4000-8000-000000000000\r\n\r\n"
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

/// A running upstream, until the runtime ends.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Upstream {
    /// Serves `script` on a free port of the loopback interface.
    ///
    /// # Errors
    /// There is no free port.
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
                    // A proxy that ends breaks its connections off.
                    let _ = serving.answer(stream).await;
                });
            }
        });
        Ok(upstream)
    }

    /// Answers with `script` from now on.
    pub fn play(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    fn script(&self) -> Arc<Script> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&script)
    }

    async fn answer(&self, stream: TcpStream) -> io::Result<()> {
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
