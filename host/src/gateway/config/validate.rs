//! What can't work is said before anything is listened to.

use std::collections::BTreeSet;

use super::{ConfigError, GatewayConfig, L2Kind, Secret};
use crate::gateway::hosts::Hosts;
use crate::http::key::site_of;
use crate::tenant::{Settings, config::TenantConfig};

impl GatewayConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// For the first that can't work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_admin()?;
        self.validate_l2()?;
        self.validate_bounds()?;
        self.validate_fleet()?;
        if self.tenants.is_empty() {
            return Err(ConfigError::wrong(
                "tenant",
                "[]",
                "there is no tenant, so nobody would be answered",
                "give --origin URL, or add a [[tenant]] table with an origin",
            ));
        }
        let mut names = BTreeSet::new();
        for tenant in &self.tenants {
            validate_tenant(tenant)?;
            if !names.insert(&tenant.name) {
                return Err(ConfigError::wrong("tenant.name", &tenant.name, "two tenants have it", "rename one"));
            }
        }
        self.validate_default_host(&self.hosts()?)?;
        self.validate_l1()?;
        if let Err((key, reason)) = self.memory.pressure.check() {
            let key = format!("memory.pressure.{key}");
            return Err(ConfigError::wrong(&key, "…", reason, "see `sandbar config` for the defaults"));
        }
        self.memory.total.map_or(Ok(()), |total| self.validate_memory(total.as_u64(), ""))
    }

    /// Which tenant answers for which host name: the tenants' places in [`GatewayConfig::tenants`].
    ///
    /// # Errors
    /// When a pattern is wrong or named twice.
    pub fn hosts(&self) -> Result<Hosts<usize>, ConfigError> {
        let patterns = self.tenants.iter().enumerate();
        Hosts::new(patterns.flat_map(|(index, tenant)| tenant.hosts.iter().map(move |host| (host.clone(), index))))
            .map_err(|error| {
                let value = format!("{:?}", error.pattern);
                ConfigError::wrong("tenant.hosts", value, error.reason, "see `sandbar config` for examples")
            })
    }

    /// The admin token, from the settings or its file.
    ///
    /// # Errors
    /// When the file can't be read, or the token is empty.
    pub fn admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        let (key, token) = match (&self.admin.token, &self.admin.token_file) {
            (Some(token), _) => ("admin.token", token.clone()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let remedy = "make it readable for this user, or name another";
                    ConfigError::wrong("admin.token_file", file.display(), error.to_string(), remedy)
                })?;
                ("admin.token_file", Secret::new(text.trim()))
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

    fn validate_admin(&self) -> Result<(), ConfigError> {
        let token = self.admin_token()?;
        if self.admin.enabled && token.is_none() && !self.admin.listen.ip().is_loopback() {
            return Err(ConfigError::wrong(
                "admin.listen",
                self.admin.listen,
                "without a token anybody who reaches this address could purge and change policies",
                "set admin.token_file or SANDBAR_ADMIN_TOKEN, or listen on a loopback address such as 127.0.0.1:8081",
            ));
        }
        if self.admin.enabled && self.admin.listen == self.gateway.listen && self.admin.listen.port() != 0 {
            return Err(ConfigError::wrong(
                "admin.listen",
                self.admin.listen,
                "clients are listened to at the same address",
                "give one of them another port",
            ));
        }
        Ok(())
    }

    fn validate_l2(&self) -> Result<(), ConfigError> {
        let url = &self.l2.redis.url;
        if self.l2.kind == L2Kind::Redis && !super::l2::is_redis(url.expose()) {
            // The URL may hold a password.
            let scheme = url.expose().split_once("://").map_or("", |(scheme, _)| scheme);
            return Err(ConfigError::wrong(
                "l2.redis.url",
                format!("{scheme}://…"),
                "it is not the URL of a Redis server",
                "write it like redis://127.0.0.1:6379, or rediss:// for TLS",
            ));
        }
        Ok(())
    }

    fn validate_bounds(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let bounds = [
            ("limits.connections_max", limits.connections_max as u64, 1),
            ("limits.head_max", limits.head_max.as_u64(), 8192),
            ("limits.fields_max", limits.fields_max as u64, 16),
            ("limits.streams_max", u64::from(limits.streams_max), 1),
            ("l2.disk.capacity", self.l2.disk.capacity.as_u64(), 1 << 20),
        ];
        for (key, value, least) in bounds {
            if value < least {
                return Err(ConfigError::wrong(
                    key,
                    value,
                    "it is too little to work with",
                    format!("set {least} or more"),
                ));
            }
        }
        if limits.head_deadline.is_zero() {
            return Err(ConfigError::wrong("limits.head_deadline", "0s", "no request could arrive", "set 1s or more"));
        }
        Ok(())
    }

    fn validate_l1(&self) -> Result<(), ConfigError> {
        let shares: u64 = self.tenants.iter().map(|tenant| tenant.l1.as_u64()).sum();
        if shares > self.l1.total.as_u64() {
            return Err(ConfigError::wrong(
                "l1.total",
                self.l1.total,
                format!("the tenants' shares (l1) add up to {}", bytesize::ByteSize(shares)),
                "raise it, or lower them",
            ));
        }
        Ok(())
    }
}

fn validate_tenant(tenant: &TenantConfig) -> Result<(), ConfigError> {
    Settings::try_from(tenant).map_err(|error| {
        ConfigError::wrong("tenant", format!("{:?}", tenant.name), error.to_string(), "mend that line")
    })?;
    if tenant.origin.is_none() {
        return Err(ConfigError::wrong(
            "tenant.origin",
            format!("\"\" (tenant {:?})", tenant.name),
            "the tenant has no origin to ask",
            "add a line such as origin = \"http://127.0.0.1:3000\"",
        ));
    }
    if tenant.hosts.is_empty() {
        return Err(ConfigError::wrong(
            "tenant.hosts",
            format!("[] (tenant {:?})", tenant.name),
            "it would answer for no host",
            "name its hosts, or \"*\" for all that no other tenant has",
        ));
    }
    Ok(())
}
