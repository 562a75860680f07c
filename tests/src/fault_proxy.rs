//! A TCP proxy that misbehaves on demand: between a node and a server, so that one node alone is cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
    /// Connections stay open, new ones are taken, and nothing comes through: the peer has vanished without a word.
    HalfOpen,
    /// Answers with bytes that are nobody's protocol.
    Garbage,
}

/// A running proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    fault: Arc<watch::Sender<Fault>>,
    task: AbortHandle,
}

impl FaultProxy {
    /// Begins to listen, in front of `server`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let fault = Arc::new(watch::Sender::new(Fault::None));
        let task = tokio::spawn(accept(listener, server, Arc::clone(&fault))).abort_handle();
        Ok(Self { addr, fault, task })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on it does this.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.fault.send_replace(Fault::Cut);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, fault: Arc<watch::Sender<Fault>>) {
    while let Ok((near, _)) = listener.accept().await {
        if *fault.borrow() == Fault::Cut {
            continue;
        }
        let Ok(far) = TcpStream::connect(server).await else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(pass(near_in, far_out, fault.subscribe(), false));
        tokio::spawn(pass(far_in, near_out, fault.subscribe(), true));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut fault: watch::Receiver<Fault>, answers: bool) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let now = *fault.borrow_and_update();
        let read = tokio::select! {
            _ = fault.changed() => continue,
            read = from.read(&mut bytes), if now != Fault::Cut && now != Fault::HalfOpen => read,
            () = std::future::ready(()), if now == Fault::Cut => return,
        };
        let Ok(count @ 1..) = read else { return };
        let now = *fault.borrow();
        match now {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Garbage if answers => bytes[..count].fill(b'?'),
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
