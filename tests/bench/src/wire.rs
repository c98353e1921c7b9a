//! A reader of HTTP/1.1 messages that does as little work as possible: the load generator and the upstream
//! share a core, which must not become the limit.

use std::io::{self, ErrorKind};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_HEADERS: usize = 64;

/// The framing of a message's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// A response that was read to its end.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedResponse {
    /// The status.
    pub status: u16,
    /// The size of the body in bytes.
    pub bytes: usize,
    /// The time at which the first byte of the body was there.
    pub first_byte: Instant,
}

/// A reader of successive messages of a stream.
#[derive(Debug)]
pub struct Reader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Returns a reader of this stream.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(64 * 1024),
        }
    }

    /// Reads a response.
    ///
    /// # Errors
    /// The stream ends or breaks, or has something other than a response.
    pub async fn response(&mut self) -> io::Result<ReceivedResponse> {
        let head = self.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        response
            .parse(self.buffer.get(..head).unwrap_or_default())
            .map_err(invalid)?;
        let status = response.code.unwrap_or_default();
        let framing = framing(response.headers)?;
        self.buffer.advance(head);
        if self.buffer.is_empty() && framing != Framing::Length(0) {
            self.fill().await?;
        }
        let first_byte = Instant::now();
        let bytes = self.skip(framing).await?;
        Ok(ReceivedResponse {
            status,
            bytes,
            first_byte,
        })
    }

    /// Reads a request. Returns `false` if the client has closed the connection instead.
    ///
    /// # Errors
    /// The stream breaks, or has something other than a request.
    pub async fn request(&mut self) -> io::Result<bool> {
        let Some(head) = self.head().await? else {
            return Ok(false);
        };
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        request
            .parse(self.buffer.get(..head).unwrap_or_default())
            .map_err(invalid)?;
        let framing = framing(request.headers)?;
        self.buffer.advance(head);
        self.skip(framing).await?;
        Ok(true)
    }

    /// Returns the length of the next message's head, or `None` if the stream ends before it.
    async fn head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(end + 4));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn skip(&mut self, framing: Framing) -> io::Result<usize> {
        match framing {
            Framing::Length(length) => {
                self.skip_bytes(length).await?;
                Ok(length)
            }
            Framing::Chunked => {
                let mut bytes = 0;
                loop {
                    let size = self.chunk_size().await?;
                    self.skip_bytes(size + 2).await?;
                    if size == 0 {
                        return Ok(bytes);
                    }
                    bytes += size;
                }
            }
        }
    }

    async fn skip_bytes(&mut self, mut count: usize) -> io::Result<()> {
        loop {
            let here = count.min(self.buffer.len());
            self.buffer.advance(here);
            count -= here;
            if count == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn chunk_size(&mut self) -> io::Result<usize> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.advance(length);
                    return usize::try_from(size).map_err(invalid);
                }
                Ok(httparse::Status::Partial) => self.fill().await?,
                Err(_) => return Err(invalid("a chunk without a size")),
            }
        }
    }
}

fn framing(headers: &[httparse::Header<'_>]) -> io::Result<Framing> {
    let value = |name: &str| {
        let mut headers = headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    };
    if value("transfer-encoding").is_some() {
        return Ok(Framing::Chunked);
    }
    let Some(length) = value("content-length") else {
        return Ok(Framing::Length(0));
    };
    let length = std::str::from_utf8(length).map_err(invalid)?;
    length.parse().map(Framing::Length).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_of_every_framing_follow_each_other() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc\
            HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n";
        for piece in [1, 7, text.len()] {
            let (mut writer, stream) = tokio::io::duplex(piece);
            tokio::spawn(async move {
                tokio::io::AsyncWriteExt::write_all(&mut writer, text)
                    .await
                    .unwrap();
            });
            let mut reader = Reader::new(stream);
            let mut responses = Vec::new();
            for _ in 0..3 {
                let response = reader.response().await.unwrap();
                responses.push((response.status, response.bytes));
            }
            assert_eq!(responses, [(200, 3), (201, 5), (204, 0)]);
            assert!(reader.response().await.is_err());
        }
    }
}
