//! The load generator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;

use crate::wire::{Answer, Reader};

/// What is sent, and what has to come back.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The requests' bytes, sent in turns over all connections.
    pub requests: Vec<Bytes>,
    /// The status of each answer.
    pub status: u16,
    /// The size of each answer's body.
    pub answer_bytes: usize,
}

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one request at a time.
    pub concurrency: usize,
    /// Until when.
    pub until: Until,
    /// Requests per second over all connections; none for as many as can be. A request that cannot
    /// be sent when its time has come counts from that time on. The first of each connection, for
    /// which a proxy has more to do, does not count then.
    pub rate: Option<f64>,
    /// By how much each connection begins later than the one before: answers that take equally long
    /// would else begin together again and again.
    pub stagger: Duration,
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time, but not before there were as many requests as connections.
    Elapsed(Duration),
    /// After this many requests.
    Requests(u64),
}

/// What came of a load.
#[derive(Debug)]
pub struct Outcome {
    /// Answers that were as they had to be.
    pub answers: u64,
    /// The time that they took all together.
    pub elapsed: Duration,
    /// Time to the end of an answer, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Time to the first byte of an answer's body, in nanoseconds.
    pub first_byte: Histogram<u64>,
}

impl Outcome {
    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends `exchange` to `address`.
///
/// # Errors
/// A connection broke off, or an answer was not as it had to be: figures of failures are worth
/// nothing.
pub async fn run(address: SocketAddr, exchange: &Exchange, load: Load) -> io::Result<Outcome> {
    let mut connections = Vec::with_capacity(load.concurrency);
    for _ in 0..load.concurrency {
        connections.push(Connection::open(address).await?);
    }
    let start = Instant::now();
    let turns = Arc::new(AtomicU64::new(0));
    let exchange = Arc::new(exchange.clone());
    let mut tasks = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let (exchange, turns) = (Arc::clone(&exchange), Arc::clone(&turns));
        tasks.spawn(async move {
            connection
                .drive(&exchange, load, start, index, &turns)
                .await
        });
    }
    let mut latency = histogram()?;
    let mut first_byte = histogram()?;
    while let Some(task) = tasks.join_next().await {
        let (whole, first) = task.map_err(io::Error::other)??;
        latency.add(whole).map_err(io::Error::other)?;
        first_byte.add(first).map_err(io::Error::other)?;
    }
    Ok(Outcome {
        answers: latency.len(),
        elapsed: start.elapsed(),
        latency,
        first_byte,
    })
}

struct Connection {
    reader: Reader<tokio::net::tcp::OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: Reader::new(reader),
            writer,
        })
    }

    async fn drive(
        mut self,
        exchange: &Exchange,
        load: Load,
        start: Instant,
        index: usize,
        turns: &AtomicU64,
    ) -> io::Result<(Histogram<u64>, Histogram<u64>)> {
        let mut latency = histogram()?;
        let mut first_byte = histogram()?;
        let interval = load
            .rate
            .map(|rate| Duration::from_secs_f64(load.concurrency as f64 / rate));
        // The connections take turns, so that requests are spread evenly over time.
        let offset = interval
            .unwrap_or_default()
            .mul_f64(index as f64 / load.concurrency as f64);
        let mut due = start + offset;
        if !load.stagger.is_zero() {
            let later = load.stagger * u32::try_from(index).map_err(io::Error::other)?;
            tokio::time::sleep(later).await;
        }
        let connections = u64::try_from(load.concurrency).map_err(io::Error::other)?;
        let next = || {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            let is_over = match load.until {
                Until::Elapsed(duration) => turn >= connections && start.elapsed() >= duration,
                Until::Requests(requests) => turn >= requests,
            };
            let count = exchange.requests.len().max(1);
            let request = exchange.requests.get(usize::try_from(turn).ok()? % count);
            request.filter(|_| !is_over)
        };
        let mut is_first = interval.is_some();
        while let Some(request) = next() {
            if interval.is_some() {
                // A timer of tokio's is up to a millisecond late.
                while Instant::now() < due {
                    tokio::task::yield_now().await;
                }
            } else {
                due = Instant::now();
            }
            let answer = self.exchange(request, exchange).await?;
            if !std::mem::take(&mut is_first) {
                latency.saturating_record(nanoseconds(due.elapsed()));
                first_byte.saturating_record(nanoseconds(answer.first_byte - due));
            }
            if let Some(interval) = interval {
                due += interval;
            }
        }
        Ok((latency, first_byte))
    }

    async fn exchange(&mut self, request: &[u8], exchange: &Exchange) -> io::Result<Answer> {
        // A large request is answered while it is still being written.
        let write = self.writer.write_all(request);
        let (written, answer) = tokio::join!(write, self.reader.response());
        written?;
        let answer = answer?;
        if (answer.status, answer.bytes) != (exchange.status, exchange.answer_bytes) {
            return Err(io::Error::other(format!(
                "expected status {} and {} bytes, found status {} and {} bytes",
                exchange.status, exchange.answer_bytes, answer.status, answer.bytes
            )));
        }
        Ok(answer)
    }
}

/// For times in nanoseconds: 1 µs to 60 s, with three digits.
///
/// # Errors
/// None that these bounds could have.
pub fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).map_err(io::Error::other)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
