//! The addresses that a gateway listens at, and checks of them against each other and against who may reach them.

use std::net::SocketAddr;

use super::engine::text;
use super::tls::{ADMIN_TLS, GATEWAY_TLS};
use super::{ConfigError, GatewayConfig, Scheme};

/// An address that is listened at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listened {
    /// The setting that chooses it.
    pub(crate) key: &'static str,
    /// Who is listened for, as the beginning of a sentence.
    pub(crate) whose: &'static str,
    pub(crate) address: SocketAddr,
}

impl GatewayConfig {
    /// Where clients are listened for without TLS, if they are.
    pub(crate) fn plain_clients(&self) -> Option<SocketAddr> {
        let only_tls = self.gateway.tls.as_ref().is_some_and(|tls| tls.only);
        (!only_tls).then_some(self.gateway.listen)
    }

    /// Where operators are listened for without TLS, if they are.
    pub(crate) fn plain_operators(&self) -> Option<SocketAddr> {
        let only_tls = self.admin.tls.as_ref().is_some_and(|tls| tls.only);
        (self.admin.enabled && !only_tls).then_some(self.admin.listen)
    }

    /// The schemes that requests of clients come under, each once.
    pub(crate) fn schemes(&self) -> Vec<Scheme> {
        let plain = self.plain_clients().map(|_| self.gateway.scheme);
        let tls = self.gateway.tls.as_ref().map(|_| Scheme::Https).filter(|tls| plain != Some(*tls));
        plain.into_iter().chain(tls).collect()
    }

    /// All addresses that are listened at.
    pub(super) fn listened(&self) -> Vec<Listened> {
        let (clients, operators) = ("clients are", "operators are");
        let listened = |key, whose| move |address| Listened { key, whose, address };
        let plain = self.plain_clients().map(listened("gateway.listen", clients));
        let plain_admin = self.plain_operators().map(listened("admin.listen", operators));
        let tls = self.tls_sections().map(|(section, tls)| match section {
            GATEWAY_TLS => Listened { key: "gateway.tls.listen", whose: clients, address: tls.listen },
            _ => Listened { key: "admin.tls.listen", whose: operators, address: tls.listen },
        });
        plain.into_iter().chain(plain_admin).chain(tls).collect()
    }

    /// Refuses two listeners at one address.
    pub(super) fn validate_listeners(&self) -> Result<(), ConfigError> {
        let listened = self.listened();
        for (index, one) in listened.iter().enumerate() {
            if let Some(first) = listened[..index].iter().find(|first| is_taken_by(one.address, first.address)) {
                let reason = format!("{} listened to at the same address", first.whose);
                return Err(ConfigError::wrong(one.key, text(one.address), reason, "give one of them another port"));
            }
        }
        Ok(())
    }

    /// Refuses an admin API that anybody could use.
    pub(super) fn validate_reach(&self, has_token: bool) -> Result<(), ConfigError> {
        let open = |address: SocketAddr| !has_token && !address.ip().is_loopback();
        let reason = "without a token anybody who reaches this address could purge and change policies";
        let plain = self.plain_operators().filter(|address| open(*address)).map(|address| {
            let remedy = "set admin.token_file or SANDBAR_ADMIN_TOKEN, or listen on a loopback address such as \
                          127.0.0.1:8081";
            ConfigError::wrong("admin.listen", text(address), reason, remedy)
        });
        let mut with_tls = self.tls_sections().filter(|(section, _)| *section == ADMIN_TLS).map(|(_, tls)| tls);
        let with_tls = with_tls.find(|tls| tls.client_ca_file.is_none() && open(tls.listen)).map(|tls| {
            let remedy = "set admin.tls.client_ca_file, admin.token_file or SANDBAR_ADMIN_TOKEN, or listen on a \
                          loopback address";
            ConfigError::wrong("admin.tls.listen", text(tls.listen), reason, remedy)
        });
        plain.or(with_tls).map_or(Ok(()), Err)
    }
}

/// Whether two addresses can't both be listened at: they are the same, or one stands for all addresses of the machine.
fn is_taken_by(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = |address: SocketAddr| address.ip().is_unspecified();
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one.ip() == other.ip() || (same_family && (is_all(one) || is_all(other)));
    one.port() != 0 && one.port() == other.port() && overlap
}
