//! The listening sockets that both processes have.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Weak;

use tokio::net::TcpListener;

use super::lines;
use super::message::{Beginning, FORMAT, Given};

/// A listening socket that a successor accepts at too.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) is_activated: bool,
    /// Not owned: a socket is closed when nobody accepts at it any more.
    pub(crate) socket: Weak<TcpListener>,
}

/// Sends the sockets. Those at which nobody accepts any more are left out: the gateway is being stopped.
pub(super) fn send(channel: &UnixStream, sockets: &[Shared]) -> io::Result<()> {
    let held = sockets.iter().filter_map(|shared| Some((shared, shared.socket.upgrade()?))).collect::<Vec<_>>();
    let given = |shared: &Shared| Given { name: shared.name.to_owned(), is_activated: shared.is_activated };
    let sockets = held.iter().map(|(shared, _)| given(shared)).collect();
    let descriptors: Vec<_> = held.iter().map(|(_, socket)| socket.as_fd()).collect();
    lines::begin(channel, &Beginning { format: FORMAT, pid: std::process::id(), sockets }, &descriptors)
}
