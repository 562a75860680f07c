//! A service manager (systemd with `Type=notify`), as far as a gateway tells it how far it is: the socket of `NOTIFY_SOCKET`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::wait::PATIENCE;

/// How much one message may say.
const MESSAGE_BYTES_MAX: usize = 256;

/// Where the gateway tells a service manager how far it is.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ServiceManager {
    /// Listens at a socket in a directory.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn listen_in(dir: &Path) -> io::Result<Self> {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path })
    }

    /// The value of `NOTIFY_SOCKET` for the gateway.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn told(&self) -> io::Result<String> {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = self.socket.recv(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned())
    }
}
