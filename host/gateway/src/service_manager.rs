//! Tells the service manager (systemd with `Type=notify`, `sd_notify(3)`) how far the gateway is. Where none listens
//! (`NOTIFY_SOCKET` is not set), nothing is told.

use sd_notify::NotifyState;

/// The gateway answers requests.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The gateway begins to stop.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The gateway reads its settings again; [`ready`] says that it has.
pub(super) fn reloading() {
    if let Ok(since) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, since]);
    }
}

/// The gateway is this process from now on. Only the one that was it until now is believed that.
pub(super) fn main_process_is(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "could not tell the service manager; it may take this gateway for one that hangs");
    }
}
