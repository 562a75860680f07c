//! A TCP proxy that misbehaves on demand. It stands between one node and a server, so that this node alone is cut off.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes them on.
    None,
    /// Passes them on, each piece so much later, in both directions.
    Delay(Duration),
    /// Ends connections, and takes no new ones.
    Cut,
    /// Connections stay open, new ones are taken, and no byte comes through, as if the peer had vanished.
    HalfOpen,
    /// Replaces answers by bytes that are no protocol's.
    Garbage,
}

/// A running proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    fault: watch::Sender<Fault>,
    /// Held while bytes are passed on or the fault is changed, so that no byte read before a change is passed on after
    /// it.
    passing: Mutex<()>,
    called: AtomicU64,
    struck: AtomicU64,
}

impl FaultProxy {
    /// Begins to listen, in front of `server`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (fault, passing) = (watch::Sender::new(Fault::None), Mutex::default());
        let shared = Arc::new(Shared { fault, passing, called: AtomicU64::new(0), struck: AtomicU64::new(0) });
        let task = tokio::spawn(accept(listener, server, Arc::clone(&shared))).abort_handle();
        Ok(Self { addr, shared, task })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the fault. From its return on the fault holds for every byte that has not been passed on yet.
    pub fn set(&self, fault: Fault) {
        let _nothing_passes = self.shared.passing.lock();
        self.shared.fault.send_replace(fault);
    }

    /// How many connections were made to the proxy, those included that it closed at once.
    pub fn called(&self) -> u64 {
        self.shared.called.load(Ordering::SeqCst)
    }

    /// How often a fault has had an effect: bytes or a connection were delayed, changed or held back.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.fault.send_replace(Fault::Cut);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    while let Ok((near, _)) = listener.accept().await {
        shared.called.fetch_add(1, Ordering::SeqCst);
        if *shared.fault.borrow() == Fault::Cut {
            shared.strike();
            continue;
        }
        let Ok(far) = TcpStream::connect(server).await else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(pass(near_in, far_out, Arc::clone(&shared), false));
        tokio::spawn(pass(far_in, near_out, Arc::clone(&shared), true));
    }
}

async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, shared: Arc<Shared>, answers: bool) {
    let mut fault = shared.fault.subscribe();
    let mut bytes = vec![0; 16 << 10];
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Cut {
            return;
        }
        if now == Fault::HalfOpen {
            tokio::select! {
                _ = fault.changed() => continue,
                _ = from.readable(), if !answers => shared.strike(),
            }
            let _ = fault.changed().await;
            continue;
        }
        let read = tokio::select! {
            _ = fault.changed() => continue,
            read = from.read(&mut bytes) => read,
        };
        let Ok(count @ 1..) = read else { return };
        if !shared.deliver(&to, &mut bytes[..count], &mut fault, answers).await {
            return;
        }
    }
}

impl Shared {
    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::SeqCst);
    }

    /// Passes bytes on, under the fault of each moment until the last byte is written; false where the connection ends.
    async fn deliver(
        &self,
        to: &OwnedWriteHalf,
        bytes: &mut [u8],
        fault: &mut watch::Receiver<Fault>,
        answers: bool,
    ) -> bool {
        let (mut sent, mut is_late) = (0, false);
        while sent < bytes.len() {
            let now = *fault.borrow_and_update();
            match now {
                Fault::Cut => return false,
                Fault::HalfOpen => {
                    self.strike();
                    let _ = fault.changed().await;
                    continue;
                }
                Fault::Delay(delay) if !is_late => {
                    self.strike();
                    is_late = tokio::select! {
                        _ = fault.changed() => false,
                        () = tokio::time::sleep(delay) => true,
                    };
                    continue;
                }
                Fault::Garbage if answers => {
                    self.strike();
                    bytes[sent..].fill(b'?');
                }
                _ => {}
            }
            let writable = tokio::select! {
                _ = fault.changed() => continue,
                writable = to.writable() => writable,
            };
            match writable.and_then(|()| self.write(to, &bytes[sent..], fault)) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes as many bytes as the socket takes, unless the fault has changed.
    fn write(&self, to: &OwnedWriteHalf, bytes: &[u8], fault: &watch::Receiver<Fault>) -> std::io::Result<usize> {
        let _passing = self.passing.lock();
        if fault.has_changed().unwrap_or(true) {
            return Ok(0);
        }
        to.try_write(bytes)
    }
}
