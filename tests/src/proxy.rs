//! A TCP proxy with faults, between a service and a broker.
//!
//! 1. What was sent arrives in order, once, or not at all: a proxy may delay and cut, and never changes a byte.
//! 2. Its faults hold for connections that are there as for those that come.
//! 3. Its memory is bounded: what waits in a delay fills at most [`QUEUED_CHUNKS`] chunks a direction, then it reads no more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::seed::Random;
use crate::{Error, Result};

/// How much is read at once, at most.
const CHUNK_BYTES: usize = 16 * 1024;
/// How many chunks may wait in a delay.
const QUEUED_CHUNKS: usize = 64;

/// What a connection through the proxy is like.
///
/// ```
/// use kafka_boot_tests::proxy::Link;
/// use std::time::Duration;
///
/// let slow = Link { delay: Duration::from_secs(1), jitter: Duration::from_millis(500), ..Link::default() };
/// assert_eq!(slow.bytes_per_second, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// How long everything is on its way, in each direction.
    pub delay: Duration,
    /// By how much that varies at most, in either direction.
    pub jitter: Duration,
    /// How much goes through in each direction.
    pub bytes_per_second: Option<u64>,
    /// Every byte is written by itself.
    pub is_byte_by_byte: bool,
    /// Nothing goes through, and nobody is told; what was sent arrives when this is over.
    pub is_black_hole: bool,
    /// What the broker answers is dropped, and nobody is told.
    pub is_half_open: bool,
    /// Each connection is reset after a time between these two.
    pub lifetime: Option<(Duration, Duration)>,
}

/// A proxy in front of one broker. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    runtime: Option<Runtime>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    link: watch::Sender<Link>,
    /// Counted up to reset all connections that are there.
    resets: watch::Sender<u64>,
    random: Mutex<Random>,
    connections: Mutex<u64>,
}

impl Proxy {
    /// Listens on a free port of this machine; connections are refused until there is a target.
    pub fn start() -> Result<Self> {
        let failed = |error| Error::io("cannot start a proxy", error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            link: watch::Sender::new(Link::default()),
            resets: watch::Sender::new(0),
            random: Mutex::new(Random::from_process_seed(u64::from(address.port()))),
            connections: Mutex::new(0),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { runtime: Some(runtime), address, shared })
    }

    /// The port that clients are to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where connections lead that come from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    /// What connections are like from now on.
    pub fn set(&self, link: Link) {
        self.shared.link.send_replace(link);
    }

    /// Ends every connection that is there with a reset.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|resets| *resets += 1);
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        *lock(&self.shared.connections)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Its tasks wait at all times; none of them blocks.
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn between(&self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
        low + Duration::from_micros(lock(&self.random).below(span.saturating_add(1)))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        *lock(&shared.connections) += 1;
        tokio::spawn(serve(client, Arc::clone(&shared)));
    }
}

/// One connection, until either side or a fault ends it.
async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let target = *lock(&shared.target);
    let Some(target) = target else { return };
    let (mut client, Ok(mut broker)) = (client, TcpStream::connect(target).await) else { return };
    // Small writes are to be small on the wire. A socket that refuses is only slower.
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let mut resets = shared.resets.subscribe();
    let lifetime = shared.link.borrow().lifetime.map(|(low, high)| shared.between(low, high));
    let ends = async {
        match lifetime {
            Some(lifetime) => sleep(lifetime).await,
            None => std::future::pending().await,
        }
    };
    let is_by_force = {
        let ((from_client, to_client), (from_broker, to_broker)) = (client.split(), broker.split());
        tokio::select! {
            () = carry(from_client, to_broker, &shared, Way::Out) => false,
            () = carry(from_broker, to_client, &shared, Way::Back) => false,
            _ = resets.changed() => true,
            () = ends => true,
        }
    };
    if is_by_force {
        // A socket that is closed with a linger of zero sends a reset.
        let _ = (client.set_zero_linger(), broker.set_zero_linger());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
}

/// Carries bytes one way, until there are no more.
async fn carry(from: ReadHalf<'_>, to: WriteHalf<'_>, shared: &Shared, way: Way) {
    let (queue, queued) = mpsc::channel(QUEUED_CHUNKS);
    tokio::join!(take(from, queue, shared), give(queued, to, shared, way));
}

/// Reads, and notes when each chunk is due at the other side.
async fn take(mut from: ReadHalf<'_>, queue: mpsc::Sender<(Instant, Vec<u8>)>, shared: &Shared) {
    let mut last_due = Instant::now();
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let Ok(count @ 1..) = from.read(&mut chunk).await else { return };
        chunk.truncate(count);
        let (delay, jitter) = {
            let link = shared.link.borrow();
            (link.delay, link.jitter)
        };
        let delay = shared.between(delay.saturating_sub(jitter), delay + jitter);
        last_due = last_due.max(Instant::now() + delay);
        if queue.send((last_due, chunk)).await.is_err() {
            return;
        }
    }
}

/// Writes each chunk when it is due.
async fn give(
    mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    way: Way,
) {
    let mut link = shared.link.subscribe();
    while let Some((due, chunk)) = queue.recv().await {
        sleep_until(due).await;
        // The sender lives as long as the proxy.
        if link.wait_for(|link| !link.is_black_hole).await.is_err() {
            return;
        }
        let now = link.borrow().clone();
        if now.is_half_open && way == Way::Back {
            continue;
        }
        let size = if now.is_byte_by_byte { 1 } else { CHUNK_BYTES };
        for part in chunk.chunks(size) {
            if to.write_all(part).await.is_err() {
                return;
            }
        }
        if let Some(rate) = now.bytes_per_second {
            let micros = chunk.len() as u64 * 1_000_000 / rate.max(1);
            sleep(Duration::from_micros(micros)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream as Plain;

    /// A server that sends back what it is sent, a proxy in front of it, and a client.
    fn echo() -> (Proxy, Plain) {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start().unwrap();
        proxy.lead_to(server.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut one, _)) = server.accept() {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = one.read(&mut buffer) {
                    if one.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            }
        });
        let client = Plain::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (proxy, client)
    }

    fn round_trip(client: &mut Plain, bytes: &[u8]) -> Duration {
        let began = std::time::Instant::now();
        client.write_all(bytes).unwrap();
        let mut back = vec![0; bytes.len()];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, bytes);
        began.elapsed()
    }

    #[test]
    fn bytes_arrive_unchanged_and_in_order_whatever_the_link() {
        let bytes: Vec<u8> = (0..60_000u32).map(|number| number.to_be_bytes()[3]).collect();
        let (proxy, mut client) = echo();
        let millis = Duration::from_millis;
        for link in [
            Link::default(),
            Link { is_byte_by_byte: true, ..Link::default() },
            Link { delay: millis(20), jitter: millis(20), ..Link::default() },
            Link { bytes_per_second: Some(600_000), ..Link::default() },
        ] {
            proxy.set(link);
            round_trip(&mut client, &bytes);
        }
        assert_eq!(proxy.connections(), 1);
    }

    #[test]
    fn delay_and_bandwidth_take_their_time() {
        let (proxy, mut client) = echo();
        proxy.set(Link { delay: Duration::from_millis(150), ..Link::default() });
        assert!(round_trip(&mut client, b"ping") >= Duration::from_millis(300));
        proxy.set(Link { bytes_per_second: Some(100_000), ..Link::default() });
        round_trip(&mut client, &vec![7; 20_000]);
        // The second one waits for what the first one owes.
        assert!(round_trip(&mut client, &vec![7; 20_000]) >= Duration::from_millis(100));
    }

    #[test]
    fn a_black_hole_gives_back_what_it_took_and_a_half_open_link_does_not() {
        let (proxy, mut client) = echo();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut byte = [0];
        let is_nothing =
            |error: std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        proxy.set(Link { is_black_hole: true, ..Link::default() });
        client.write_all(b"a").unwrap();
        assert!(client.read(&mut byte).is_err_and(is_nothing));
        proxy.set(Link::default());
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"a");

        proxy.set(Link { is_half_open: true, ..Link::default() });
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.write_all(b"b").unwrap();
        assert!(client.read(&mut byte).is_err_and(is_nothing));
        proxy.set(Link::default());
        assert!(client.read(&mut byte).is_err_and(is_nothing), "what was dropped does not come");
    }

    #[test]
    fn connections_are_reset_on_demand_and_when_their_time_is_over() {
        let (proxy, mut client) = echo();
        round_trip(&mut client, b"here");
        proxy.reset();
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let soon = Duration::from_millis(50);
        proxy.set(Link { lifetime: Some((soon, soon)), ..Link::default() });
        let mut client = Plain::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(client.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(proxy.connections(), 2);
    }
}
