//! Making a connection to PostgreSQL, with TLS or without it: for stores, and for whoever else speaks to the database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};

use crate::values::StoreError;

type Connect = dyn Fn(Config) -> BoxFuture<'static, Result<Client, tokio_postgres::Error>> + Send + Sync;

/// How the database is reached. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dial {
    config: Config,
    connect: Arc<Connect>,
}

impl Dial {
    /// Reaches the database that a URL or a list of settings (`host=… user=…`) names, without TLS.
    ///
    /// # Errors
    /// Where the settings make no sense, or ask for TLS.
    pub(crate) fn plain(text: &str) -> Result<Self, StoreError> {
        let config = parsed(text)?;
        if config.get_ssl_mode() == SslMode::Require {
            let reason = "sslmode=require needs a TLS connector: open it with Postgres::with_tls";
            return Err(StoreError::Schema(reason.into()));
        }
        Ok(Self::with(config, NoTls))
    }

    /// The same with TLS, by a connector of the program's choice.
    ///
    /// # Errors
    /// Where the settings make no sense.
    pub(crate) fn tls<M>(text: &str, tls: M) -> Result<Self, StoreError>
    where
        M: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        M::Stream: Send,
        M::TlsConnect: Send,
        <M::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
    {
        Ok(Self::with(parsed(text)?, tls))
    }

    fn with<M>(config: Config, tls: M) -> Self
    where
        M: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        M::Stream: Send,
        M::TlsConnect: Send,
        <M::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
    {
        let connect = move |config: Config| {
            let tls = tls.clone();
            async move {
                let (client, connection) = config.connect(tls).await?;
                // It ends with the client.
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection to PostgreSQL broke");
                    }
                });
                Ok(client)
            }
            .boxed()
        };
        Self { config, connect: Arc::new(connect) }
    }

    /// Has the server give statements up that take longer.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        let before = self.config.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        self.config.options(format!("{before}-c statement_timeout={}", deadline.as_millis()));
        self
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        (self.connect)(self.config.clone()).await
    }
}

fn parsed(text: &str) -> Result<Config, StoreError> {
    let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
        // The text itself may hold a password.
        StoreError::Schema(format!("the connection's settings can't be read: {error}").into())
    })?;
    if config.get_application_name().is_none() {
        config.application_name("sandbar");
    }
    Ok(config)
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { .. } = &self.config;
        f.debug_struct("Dial").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}
