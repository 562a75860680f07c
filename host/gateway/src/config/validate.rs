//! Checks of the settings against each other, so that what can't work is told before any address is listened at.

use std::collections::BTreeSet;

use sandbar::hosts::Hosts;
use sandbar::origin::http::OriginConfig;
use sandbar::setting::Key;
use sandbar::tenant::Settings;
use sandbar::tenant::config::TenantConfig;
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_http::key::site_of;

use super::engine::text;
use super::memory::{L1Shares, validate_memory};
use super::{ConfigError, GatewayConfig, Secret};

impl GatewayConfig {
    /// Checks the settings against each other. Values that make no sense by themselves are ruled out by their types.
    ///
    /// # Errors
    /// For the first setting that can't work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validated_token().map(drop)
    }

    /// Checks the settings as [`Self::validate`] does, and returns the admin token that it has seen, from the settings or its
    /// file: read a second time, the file could hold another one.
    ///
    /// # Errors
    /// For the first setting that can't work, such as a token file that can't be read.
    pub(crate) fn validated_token(&self) -> Result<Option<Secret>, ConfigError> {
        let token = self.find_admin_token();
        let checked = token.and_then(|token| self.validate_all(token.is_some()).map(|()| token));
        checked.map_err(|error| error.placed(&self.source))
    }

    fn validate_all(&self, has_token: bool) -> Result<(), ConfigError> {
        self.validate_paths()?;
        self.validate_tls()?;
        self.validate_reach(has_token)?;
        self.validate_listeners()?;
        self.validate_l2()?;
        self.validate_engine()?;
        self.validate_fleet()?;
        self.validate_tenants()?;
        self.validate_default_host(&self.hosts()?)?;
        self.validate_l1()?;
        if let Err(reason) = self.memory.pressure.check() {
            let low = self.memory.pressure.low_percent;
            let remedy = "set less than memory.pressure.high_percent";
            return Err(ConfigError::wrong("memory.pressure.low_percent", low, reason, remedy));
        }
        self.memory.total.map_or(Ok(()), |total| validate_memory(self.l1_shares(), total.bytes(), ""))
    }

    fn validate_tenants(&self) -> Result<(), ConfigError> {
        if self.tenants.is_empty() {
            return Err(ConfigError::wrong(
                "tenant",
                "[]",
                "there is no tenant, so nobody would be answered",
                "give --origin URL, or add a [[tenant]] table with an origin",
            ));
        }
        let mut names = BTreeSet::new();
        for (index, tenant) in self.tenants.iter().enumerate() {
            self.validate_tenant(index)?;
            if !names.insert(&tenant.name) {
                let key = Key::of_tenant(index, &Key::from("name"));
                return Err(ConfigError::wrong(key, text(&tenant.name), "two tenants have it", "rename one"));
            }
        }
        Ok(())
    }

    fn validate_tenant(&self, index: usize) -> Result<(), ConfigError> {
        let tenant = &self.tenants[index];
        let key = |name: &str| Key::of_tenant(index, &Key::from(name));
        Settings::try_from(tenant).map_err(|error| ConfigError::of_tenant(index, error))?;
        let origin = origin_of(index, tenant)?;
        if tenant.hosts.is_empty() {
            let remedy = "name its hosts, or \"*\" for all that no other tenant has";
            return Err(ConfigError::wrong(key("hosts"), "[]", "it would answer for no host", remedy));
        }
        for listened in self.listened() {
            if origin.is_at(listened.address) {
                let reason =
                    format!("it is where {} listened to, so requests would go round in circles", listened.whose);
                let remedy = "name the server behind the gateway, or listen at another port";
                return Err(ConfigError::wrong(key("origin"), text(&origin.url), reason, remedy));
            }
        }
        Ok(())
    }

    /// The tenant that answers for each host name, as an index of [`GatewayConfig::tenants`].
    ///
    /// # Errors
    /// When a pattern is no host name, or is named twice.
    pub fn hosts(&self) -> Result<Hosts<usize>, ConfigError> {
        let patterns = self.tenants.iter().enumerate();
        let named = patterns.flat_map(|(index, tenant)| tenant.hosts.iter().map(move |host| (host.clone(), index)));
        Hosts::new(named).map_err(|error| {
            let (key, value) = (self.key_of_host(&error.pattern), format!("{:?}", error.pattern));
            let (reason, remedy) = error.reason.split_once(": ").unwrap_or((&error.reason, "see `sandbar config`"));
            ConfigError::wrong(key, value, reason, remedy).placed(&self.source)
        })
    }

    /// The key of a host pattern, where it is named last.
    fn key_of_host(&self, pattern: &str) -> Key {
        let places = self.tenants.iter().enumerate().rev();
        let mut found = places.filter_map(|(tenant, config)| {
            let host = config.hosts.iter().rposition(|host| host == pattern)?;
            Some(Key::of_tenant(tenant, &Key::from("hosts").at(host)))
        });
        found.next().unwrap_or_else(|| Key::from("tenant.hosts"))
    }

    fn validate_paths(&self) -> Result<(), ConfigError> {
        let paths = [
            ("data_dir", Some(&self.data_dir)),
            ("l2.disk.path", self.l2.disk.path.as_ref()),
            ("journal.path", self.journal.path.as_ref()),
            ("l2.redis.ca_file", self.l2.redis.ca_file.as_ref()),
            ("admin.token_file", self.admin.token_file.as_ref()),
            ("log.access.file", self.log.access.file.as_ref()),
        ];
        for (key, path) in paths {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                return Err(ConfigError::wrong(key, "\"\"", "it names nothing", "write a path, or leave the line out"));
            }
        }
        Ok(())
    }

    /// The admin token, from the settings or its file.
    fn find_admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        let said = self.source.said(&Key::from("admin.token")).is_some();
        let (key, token) = match (&self.admin.token, &self.admin.token_file) {
            (Some(_), Some(file)) if !said => {
                let (reason, remedy) = ("there is admin.token too, and they may differ", "leave one of them out");
                return Err(ConfigError::wrong("admin.token_file", text(file.display()), reason, remedy));
            }
            (Some(token), _) => ("admin.token", token.clone()),
            (None, Some(file)) => {
                let read = std::fs::read_to_string(file).map_err(|error| {
                    let remedy = "make it readable for this user, or name another";
                    ConfigError::wrong("admin.token_file", text(file.display()), error, remedy)
                })?;
                ("admin.token_file", Secret::new(read.trim()))
            }
            (None, None) => return Ok(None),
        };
        let usable = |byte: u8| byte.is_ascii_graphic();
        if token.expose().is_empty() || !token.expose().bytes().all(usable) {
            let reason = "the token is empty, or holds spaces or control characters";
            return Err(ConfigError::wrong(key, "…", reason, "make one with `openssl rand -hex 32`"));
        }
        Ok(Some(token))
    }

    fn validate_default_host(&self, hosts: &Hosts<usize>) -> Result<(), ConfigError> {
        let host = &self.gateway.default_host;
        let wrong =
            |reason, remedy| Err(ConfigError::wrong("gateway.default_host", format!("{host:?}"), reason, remedy));
        if site_of(&format!("http://{host}")).is_err() {
            return wrong("it is no host name", "write one that nobody has, such as no-host.invalid");
        }
        if hosts.is_named(host) {
            let reason =
                "a tenant has it: what asks for no host would be answered as if it had asked for that tenant's";
            return wrong(reason, "name one that no tenant has, such as no-host.invalid");
        }
        Ok(())
    }

    fn validate_l2(&self) -> Result<(), ConfigError> {
        self.memcached(MemoryBudget::unbounded()).check().map_err(|reason| {
            let servers = &self.l2.memcached.servers;
            let remedy = "write them like [\"10.0.0.1:11211\", \"10.0.0.2:11211\"], alike on each node";
            ConfigError::wrong("l2.memcached.servers", format_args!("{servers:?}"), reason, remedy)
        })?;
        let url = &self.l2.redis.url;
        if !super::l2::is_redis(url.expose()) {
            // The URL may hold a password.
            let scheme = url.expose().split_once("://").map_or("", |(scheme, _)| scheme);
            return Err(ConfigError::wrong(
                "l2.redis.url",
                text(format_args!("{scheme}://…")),
                "it is not the URL of a Redis server",
                "write it like redis://127.0.0.1:6379, or rediss:// for TLS",
            ));
        }
        Ok(())
    }

    /// Checks that tenants may have these shares of L1 together, on this machine.
    ///
    /// # Errors
    /// When they are too many.
    pub(crate) fn validate_shares(&self, shares: L1Shares) -> Result<(), ConfigError> {
        self.validate_l1_of(shares).map_err(|error| error.placed(&self.source))?;
        self.memory_total_with(shares).map(drop)
    }

    fn validate_l1(&self) -> Result<(), ConfigError> {
        self.validate_l1_of(self.l1_shares())
    }

    fn validate_l1_of(&self, shares: L1Shares) -> Result<(), ConfigError> {
        if shares.needed_bytes() > self.l1.total.bytes() {
            let reason = shares.to_string();
            return Err(ConfigError::wrong("l1.total", text(self.l1.total), reason, "raise it, or lower them"));
        }
        Ok(())
    }
}

/// The origin of a tenant; none is an error.
pub(crate) fn origin_of(index: usize, tenant: &TenantConfig) -> Result<&OriginConfig, ConfigError> {
    let none = || {
        let (key, remedy) =
            (Key::of_tenant(index, &Key::from("origin")), "add a line such as origin = \"http://127.0.0.1:3000\"");
        ConfigError::wrong(key, "", "the tenant has no origin to ask", remedy)
    };
    tenant.origin.as_ref().ok_or_else(none)
}
