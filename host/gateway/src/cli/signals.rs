//! The signals that `sandbar serve` acts on.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, listened for from when this is made.
pub(super) struct Signals {
    pub(super) stop: Stop,
    /// SIGHUP: the settings are read again.
    pub(super) hang_up: Signal,
    /// SIGUSR2: a new process takes this one's place.
    pub(super) user_two: Signal,
}

/// SIGTERM and SIGINT: the gateway is stopped.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let stop = Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        let (hang_up, user_two) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined2())?);
        Ok(Self { stop, hang_up, user_two })
    }
}

impl Stop {
    /// Returns when one of them has come.
    pub(super) async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
