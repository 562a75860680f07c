//! Sockets that listen already when the gateway starts. systemd opens them before it starts the program ("socket
//! activation", `sd_listen_fds(3)`): so clients wait instead of being refused while the program is restarted, and the
//! program needs no right to bind a low port. A running process hands them over to the one that takes its place
//! (`handover`).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::SockRef;

use super::StartError;
use super::config::{GatewayConfig, TlsConfig};
use super::reload::ReadSettings;

/// Sockets that listen already; for what is none here, an address is bound.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For clients, instead of one at `gateway.listen`.
    pub gateway: Option<TcpListener>,
    /// For clients over TLS, instead of one at `gateway.tls.listen`.
    pub gateway_tls: Option<TcpListener>,
    /// For operators, instead of one at `admin.listen`.
    pub admin: Option<TcpListener>,
    /// For operators over TLS, instead of one at `admin.tls.listen`.
    pub admin_tls: Option<TcpListener>,
    /// Those that another process of this program has bound, by the names that they had there: each is taken where the
    /// settings name its address.
    pub(crate) bound: Vec<(String, TcpListener)>,
    /// Which of the others a service manager has opened: they are taken whatever the settings say.
    pub(crate) activated: Vec<&'static str>,
}

/// The name of a socket, as `FileDescriptorName=` gives it; the setting that it replaces; how errors call it.
type Named = (&'static str, &'static str, &'static str);

const GATEWAY: Named = ("gateway", "gateway.listen", "the socket \"gateway\" that was handed over");
const GATEWAY_TLS: Named = ("gateway-tls", "gateway.tls.listen", "the socket \"gateway-tls\" that was handed over");
const ADMIN: Named = ("admin", "admin.listen", "the socket \"admin\" that was handed over");
const ADMIN_TLS: Named = ("admin-tls", "admin.tls.listen", "the socket \"admin-tls\" that was handed over");

impl Sockets {
    /// Takes the sockets that systemd has handed over to this process: none, where it was started in another way. Call
    /// this before the process has a second thread: it takes `LISTEN_FDS` and `LISTEN_PID` out of the environment.
    ///
    /// # Errors
    /// When a descriptor is no TCP socket that listens, or has none of the names `gateway`, `gateway-tls`, `admin`
    /// and `admin-tls`, or one that another has.
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

    /// Takes a socket of the process whose place this one is to take.
    ///
    /// # Errors
    /// As [`Self::handed_over`], where a service manager opened it.
    pub(crate) fn take_over(&mut self, name: &str, socket: TcpListener, is_activated: bool) -> Result<(), StartError> {
        if is_activated {
            let added = self.add(name, Ok(Some(socket)));
            return added.map_err(|reason| StartError::Socket { name: name.to_owned(), reason });
        }
        self.bound.push((name.to_owned(), socket));
        Ok(())
    }

    /// Puts the sockets that another process has bound where the settings name their addresses, or a free port where it
    /// has such a one. All others are closed here.
    pub(super) fn place_bound(&mut self, config: &GatewayConfig) {
        let over_tls = |tls: &Option<TlsConfig>| tls.as_ref().map(|tls| tls.listen);
        let operators_over_tls = over_tls(&config.admin.tls).filter(|_| config.admin.enabled);
        let mut bound = std::mem::take(&mut self.bound);
        for ((name, ..), wanted, place) in [
            (GATEWAY, config.plain_clients(), &mut self.gateway),
            (GATEWAY_TLS, over_tls(&config.gateway.tls), &mut self.gateway_tls),
            (ADMIN, config.plain_operators(), &mut self.admin),
            (ADMIN_TLS, operators_over_tls, &mut self.admin_tls),
        ] {
            let Some(wanted) = wanted.filter(|_| place.is_none()) else { continue };
            let is_it = |(named, socket): &(String, TcpListener)| {
                socket
                    .local_addr()
                    .is_ok_and(|at| at == wanted || wanted.port() == 0 && wanted.ip() == at.ip() && named == name)
            };
            *place = bound.iter().position(is_it).map(|at| bound.swap_remove(at).1);
        }
    }

    fn add(&mut self, name: &str, taken: Result<Option<TcpListener>, String>) -> Result<(), String> {
        let mut places = [
            (GATEWAY, &mut self.gateway),
            (GATEWAY_TLS, &mut self.gateway_tls),
            (ADMIN, &mut self.admin),
            (ADMIN_TLS, &mut self.admin_tls),
        ];
        let Some(((known, ..), place)) = places.iter_mut().find(|((known, ..), _)| *known == name) else {
            let remedy = "write FileDescriptorName=gateway, gateway-tls, admin or admin-tls into its .socket unit";
            return Err(format!("there is no such listener; {remedy}"));
        };
        if place.is_some() {
            return Err("there are two of that name; leave one ListenStream= in its .socket unit".to_owned());
        }
        let remedy = "write ListenStream= with an address and a port, and Accept=no, into its .socket unit";
        let socket = taken.and_then(|socket| socket.filter(listens).ok_or("it does not listen".to_owned()));
        **place = Some(socket.map_err(|error| format!("it is no TCP socket that listens ({error}); {remedy}"))?);
        self.activated.push(known);
        Ok(())
    }

    /// Sets the addresses in the settings to those of the sockets, so that whatever is checked about an address (whom
    /// the admin API is open to, circles with an origin) is checked about the one that is listened at.
    pub(super) fn settle(&self, config: &mut GatewayConfig) -> Result<(), StartError> {
        let GatewayConfig { gateway, admin, source, .. } = config;
        let no_admin = (!admin.enabled).then_some("admin.enabled is false; set it to true");
        let only = |tls: &Option<TlsConfig>, why| tls.as_ref().is_some_and(|tls| tls.only).then_some(why);
        let no_plain = only(&gateway.tls, "gateway.tls.only is true; set it to false");
        let no_plain_admin = no_admin.or(only(&admin.tls, "admin.tls.only is true; set it to false"));
        let no_section = "there is no such section in the settings; add it with its certificates";
        let (gateway_tls, admin_tls) = (gateway.tls.as_mut(), admin.tls.as_mut());
        for ((name, setting, by), socket, listen, unused) in [
            (GATEWAY, &self.gateway, Some(&mut gateway.listen), no_plain),
            (GATEWAY_TLS, &self.gateway_tls, gateway_tls.map(|tls| &mut tls.listen), None),
            (ADMIN, &self.admin, Some(&mut admin.listen), no_plain_admin),
            (ADMIN_TLS, &self.admin_tls, admin_tls.map(|tls| &mut tls.listen), no_admin),
        ] {
            let Some(socket) = socket else { continue };
            let (None, Some(listen)) = (unused, listen) else {
                let reason = format!("{}, or disable the .socket unit", unused.unwrap_or(no_section));
                return Err(StartError::Socket { name: name.to_owned(), reason });
            };
            *listen = address(name, socket)?;
            source.say(setting, by);
        }
        Ok(())
    }

    /// The same reader of settings, but with the addresses of these sockets, which [`Self::settle`] has set in `config`.
    pub(super) fn settled(&self, config: &GatewayConfig, read: Arc<ReadSettings>) -> Arc<ReadSettings> {
        let gateway = self.gateway.is_some().then_some(config.gateway.listen);
        let admin = self.admin.is_some().then_some(config.admin.listen);
        let over_tls = |socket: &Option<TcpListener>, tls: &Option<TlsConfig>| {
            tls.as_ref().filter(|_| socket.is_some()).map(|tls| tls.listen)
        };
        let gateway_tls = over_tls(&self.gateway_tls, &config.gateway.tls);
        let admin_tls = over_tls(&self.admin_tls, &config.admin.tls);
        Arc::new(move || {
            let mut next = read()?;
            next.gateway.listen = gateway.unwrap_or(next.gateway.listen);
            next.admin.listen = admin.unwrap_or(next.admin.listen);
            for (address, tls) in [(gateway_tls, &mut next.gateway.tls), (admin_tls, &mut next.admin.tls)] {
                if let Some((address, tls)) = address.zip(tls.as_mut()) {
                    tls.listen = address;
                }
            }
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
    fn sockets_of_the_process_before_are_taken_by_their_addresses() {
        let address = |socket: &TcpListener| socket.local_addr().expect("an address");
        let (one, two, free, old) = (listening(), listening(), listening(), listening());
        let (at_one, at_two, at_free) = (address(&one), address(&two), address(&free));
        let mut sockets = Sockets::default();
        for (name, socket) in [("gateway", one), ("gateway-tls", two), ("admin", free), ("admin-tls", old)] {
            sockets.take_over(name, socket, false).expect("taken");
        }
        // The settings have changed: clients are served the other way round, and operators without TLS alone.
        let settings = format!(
            "[gateway]\nlisten = \"{at_two}\"\n[gateway.tls]\nlisten = \"{at_one}\"\n[admin]\nlisten = \"127.0.0.1:0\""
        );
        let mut config = GatewayConfig::from_toml(&settings, "test").expect("settings");
        sockets.settle(&mut config).expect("settled");
        sockets.place_bound(&config);
        let taken = [&sockets.gateway, &sockets.gateway_tls, &sockets.admin];
        let taken = taken.map(|socket| socket.as_ref().map(address));
        assert_eq!(taken, [Some(at_two), Some(at_one), Some(at_free)]);
        assert!(sockets.admin_tls.is_none() && sockets.bound.is_empty() && sockets.activated.is_empty());
    }

    #[test]
    fn sockets_for_tls_need_its_section() {
        let mut sockets = Sockets::default();
        sockets.add("gateway-tls", Ok(Some(listening()))).expect("taken");
        let mut config = GatewayConfig::default();
        assert!(sockets.settle(&mut config).expect_err("refused").to_string().contains("there is no such section"));
        let section = "[gateway.tls]\nlisten = \"127.0.0.1:1\"\nonly = true";
        let mut config = GatewayConfig::from_toml(section, "test").expect("settings");
        sockets.settle(&mut config).expect("settled");
        let address = sockets.gateway_tls.as_ref().map(|socket| socket.local_addr().expect("an address"));
        assert_eq!(config.gateway.tls.as_ref().map(|tls| tls.listen), address);
        let read: Arc<ReadSettings> =
            Arc::new(move || Ok(GatewayConfig::from_toml(section, "test").expect("settings")));
        let again = sockets.settled(&config, read)().expect("settings");
        assert_eq!(again.gateway.tls, config.gateway.tls, "a reload keeps the address");
        sockets.add("gateway", Ok(Some(listening()))).expect("taken");
        assert!(sockets.settle(&mut config).expect_err("refused").to_string().contains("gateway.tls.only is true"));
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
