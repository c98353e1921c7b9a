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

use crate::wire::{Reader, ReceivedResponse};

/// The requests and the expected response.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The bytes of the requests, which are sent in turn over all connections.
    pub requests: Vec<Bytes>,
    /// The status of each response.
    pub status: u16,
    /// The size of each response's body.
    pub response_bytes: usize,
}

/// The extent of a load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The number of connections, each with one request at a time.
    pub concurrency: usize,
    /// The end of the load.
    pub until: Until,
    /// Requests per second over all connections, or `None` for as many as possible. The latency of a request
    /// counts from the time at which it is due. The first request of each connection does not count, because
    /// a proxy has more work for it.
    pub rate: Option<f64>,
    /// The delay between the starts of two connections. Without it, responses of the same duration would
    /// always start together.
    pub stagger: Duration,
}

impl Load {
    /// Returns a load of as many requests as possible for this time.
    pub fn most(concurrency: usize, duration: Duration) -> Self {
        Self {
            concurrency,
            until: Until::Elapsed(duration),
            rate: None,
            stagger: Duration::ZERO,
        }
    }
}

/// The end of a load.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time, but not before the number of requests is that of the connections.
    Elapsed(Duration),
    /// After this many requests.
    Requests(u64),
}

/// The result of a load.
#[derive(Debug)]
pub struct Outcome {
    /// The number of responses, all of which were right.
    pub responses: u64,
    /// The time for all responses together.
    pub elapsed: Duration,
    /// The time to the end of a response, in nanoseconds.
    pub latency: Histogram<u64>,
    /// The time to the first byte of a response's body, in nanoseconds.
    pub first_byte: Histogram<u64>,
}

impl Outcome {
    /// Returns the responses per second.
    pub fn rate(&self) -> f64 {
        self.responses as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends `exchange` to `address`.
///
/// # Errors
/// A connection breaks, or a response is wrong. Figures with failures would be worthless.
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
        responses: latency.len(),
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
        // The connections start one after another, so that requests are spread evenly over time.
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
                // A tokio timer can be a millisecond late.
                while Instant::now() < due {
                    tokio::task::yield_now().await;
                }
            } else {
                due = Instant::now();
            }
            let response = self.exchange(request, exchange).await?;
            if !std::mem::take(&mut is_first) {
                latency.saturating_record(nanoseconds(due.elapsed()));
                first_byte.saturating_record(nanoseconds(response.first_byte - due));
            }
            if let Some(interval) = interval {
                due += interval;
            }
        }
        Ok((latency, first_byte))
    }

    async fn exchange(
        &mut self,
        request: &[u8],
        exchange: &Exchange,
    ) -> io::Result<ReceivedResponse> {
        // The response to a large request can begin before the request is written.
        let write = self.writer.write_all(request);
        let (written, response) = tokio::join!(write, self.reader.response());
        written?;
        let response = response?;
        if (response.status, response.bytes) != (exchange.status, exchange.response_bytes) {
            return Err(io::Error::other(format!(
                "expected status {} and {} bytes, found status {} and {} bytes",
                exchange.status, exchange.response_bytes, response.status, response.bytes
            )));
        }
        Ok(response)
    }
}

/// Returns a histogram for times in nanoseconds, from 1 µs to 60 s, with three digits.
///
/// # Errors
/// None in practice: the bounds are valid.
pub fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).map_err(io::Error::other)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
