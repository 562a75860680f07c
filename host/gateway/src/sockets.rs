//! Sockets that listen already when the gateway starts. systemd opens them before it starts the program ("socket
//! activation", `sd_listen_fds(3)`): so clients wait instead of being refused while the program is restarted, and the
//! program needs no right to bind a low port.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::SockRef;

use super::StartError;
use super::config::GatewayConfig;
use super::reload::ReadSettings;

/// Sockets that listen already; for what is none here, an address is bound.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For clients, instead of one at `gateway.listen`.
    pub gateway: Option<TcpListener>,
    /// For operators, instead of one at `admin.listen`.
    pub admin: Option<TcpListener>,
}

/// The names of the two, as `FileDescriptorName=` gives them.
const GATEWAY: &str = "gateway";
const ADMIN: &str = "admin";

impl Sockets {
    /// Takes the sockets that systemd has handed over to this process: none, where it was started in another way. Call
    /// this before the process has a second thread: it takes `LISTEN_FDS` and `LISTEN_PID` out of the environment.
    ///
    /// # Errors
    /// When a descriptor is no TCP socket that listens, or has none of the names `gateway` and `admin`, or one that
    /// another has.
    pub fn handed_over() -> Result<Self, StartError> {
        let mut handed = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = Self::default();
        for index in 0..handed.len() {
            let name = names.split(':').nth(index).unwrap_or_default();
            let taken = handed.take_tcp_listener(index).map_err(|error| error.to_string());
            sockets.add(name, taken).map_err(|reason| StartError::Socket { name: name.to_owned(), reason })?;
        }
        Ok(sockets)
    }

    fn add(&mut self, name: &str, taken: Result<Option<TcpListener>, String>) -> Result<(), String> {
        let place = match name {
            GATEWAY => &mut self.gateway,
            ADMIN => &mut self.admin,
            _ => {
                return Err(format!(
                    "there is no such listener; write FileDescriptorName={GATEWAY}, or {ADMIN}, into its .socket unit"
                ));
            }
        };
        if place.is_some() {
            return Err("there are two of that name; leave one ListenStream= in its .socket unit".to_owned());
        }
        let remedy = "write ListenStream= with an address and a port, and Accept=no, into its .socket unit";
        let socket = taken.and_then(|socket| socket.filter(listens).ok_or("it does not listen".to_owned()));
        *place = Some(socket.map_err(|error| format!("it is no TCP socket that listens ({error}); {remedy}"))?);
        Ok(())
    }

    /// Sets the addresses in the settings to those of the sockets, so that whatever is checked about an address (whom
    /// the admin API is open to, circles with an origin) is checked about the one that is listened at.
    pub(super) fn settle(&self, config: &mut GatewayConfig) -> Result<(), StartError> {
        if let Some(socket) = &self.gateway {
            config.gateway.listen = address(GATEWAY, socket)?;
            config.source.say("gateway.listen", "the socket \"gateway\" that was handed over");
        }
        let Some(socket) = &self.admin else { return Ok(()) };
        if !config.admin.enabled {
            let reason = "admin.enabled is false; set it to true, or disable the .socket unit".to_owned();
            return Err(StartError::Socket { name: ADMIN.to_owned(), reason });
        }
        config.admin.listen = address(ADMIN, socket)?;
        config.source.say("admin.listen", "the socket \"admin\" that was handed over");
        Ok(())
    }

    /// The same reader of settings, but with the addresses of these sockets, which [`Self::settle`] has set in `config`.
    pub(super) fn settled(&self, config: &GatewayConfig, read: Arc<ReadSettings>) -> Arc<ReadSettings> {
        let gateway = self.gateway.is_some().then_some(config.gateway.listen);
        let admin = self.admin.is_some().then_some(config.admin.listen);
        Arc::new(move || {
            let mut next = read()?;
            next.gateway.listen = gateway.unwrap_or(next.gateway.listen);
            next.admin.listen = admin.unwrap_or(next.admin.listen);
            Ok(next)
        })
    }
}

fn address(name: &str, socket: &TcpListener) -> Result<SocketAddr, StartError> {
    let unknown = |error: std::io::Error| StartError::Socket {
        name: name.to_owned(),
        reason: format!("its address can't be found: {error}; write ListenStream= with an address and a port"),
    };
    socket.local_addr().map_err(unknown)
}

/// Whether a socket listens, rather than being connected or only bound.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &TcpListener) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

/// Whether a socket listens, as far as that can be asked here: it is not connected.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(socket: &TcpListener) -> bool {
    SockRef::from(socket).peer_addr().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("a port")
    }

    fn refused(sockets: &mut Sockets, name: &str, taken: Result<Option<TcpListener>, String>) -> String {
        sockets.add(name, taken).expect_err("refused")
    }

    #[test]
    fn sockets_are_taken_by_their_names() {
        let mut sockets = Sockets::default();
        sockets.add("admin", Ok(Some(listening()))).expect("taken");
        sockets.add("gateway", Ok(Some(listening()))).expect("taken");
        let mut config = GatewayConfig::default();
        sockets.settle(&mut config).expect("settled");
        let address = |socket: &Option<TcpListener>| socket.as_ref().map(|it| it.local_addr().expect("an address"));
        assert_eq!(Some(config.gateway.listen), address(&sockets.gateway));
        assert_eq!(Some(config.admin.listen), address(&sockets.admin));
        config.admin.enabled = false;
        assert!(sockets.settle(&mut config).expect_err("refused").to_string().contains("admin.enabled is false"));
    }

    #[test]
    fn what_can_not_be_listened_at_is_refused_with_a_remedy() {
        let mut sockets = Sockets::default();
        assert!(refused(&mut sockets, "http", Ok(Some(listening()))).contains("FileDescriptorName=gateway"));
        assert!(refused(&mut sockets, "", Ok(Some(listening()))).contains("FileDescriptorName=gateway"));
        let not_tcp = refused(&mut sockets, "gateway", Err("fd 3 is not a valid tcp socket".to_owned()));
        assert!(not_tcp.contains("fd 3") && not_tcp.contains("ListenStream="), "{not_tcp}");
        let peer = listening();
        let stream = std::net::TcpStream::connect(peer.local_addr().expect("an address")).expect("connected");
        let connected = TcpListener::from(std::os::fd::OwnedFd::from(stream));
        assert!(refused(&mut sockets, "gateway", Ok(Some(connected))).contains("it does not listen"));
        sockets.add("gateway", Ok(Some(listening()))).expect("taken");
        assert!(refused(&mut sockets, "gateway", Ok(Some(listening()))).contains("two of that name"));
    }

    #[test]
    fn an_admin_api_for_everybody_needs_a_token_however_it_is_listened_to() {
        let mut sockets = Sockets::default();
        sockets.add("admin", Ok(Some(TcpListener::bind("0.0.0.0:0").expect("a port")))).expect("taken");
        let mut config = GatewayConfig::default();
        config.set_origin("http://127.0.0.1:1".parse().expect("a URL")).expect("one tenant");
        sockets.settle(&mut config).expect("settled");
        let error = config.validate().expect_err("refused").to_string();
        assert!(error.contains("the socket \"admin\" that was handed over") && error.contains("token"), "{error}");
    }
}
