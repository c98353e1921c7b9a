//! The upstream: answers every request with the same prepared bytes.

use std::io;
use std::net::SocketAddr;
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
}

/// Serves `script` on a free port of the loopback interface until the runtime ends.
///
/// # Errors
/// There is no free port.
pub async fn serve(script: Script) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                // A proxy that ends breaks its connections off.
                let _ = answer(stream, &script).await;
            });
        }
    });
    Ok(address)
}

async fn answer(stream: TcpStream, script: &Script) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    while reader.request().await? {
        for (index, piece) in script.pieces.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(script.pause).await;
            }
            writer.write_all(piece).await?;
        }
    }
    Ok(())
}
