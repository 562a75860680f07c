//! `sandbar token`: makes a token of a tenant, and the table for the settings that knows it by its hash.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use sandbar::clock::{Clock, SystemClock};
use sandbar::tenant::token::{Expiry, TokenConfig, TokenHash, TokenScope};
use serde_json::json;

use super::{Failure, Output};

/// Random bytes of a token: nobody guesses so many.
const TOKEN_BYTES: usize = 32;

/// Arguments of `sandbar token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Whose token it is; logs name it.
    name: String,
    /// For how long it is valid, such as 90d; for ever without this.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    valid_for: Option<Duration>,
}

pub(super) fn run(args: TokenArgs, output: Output) -> Result<(), Failure> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes for a token: {error}"))?;
    let token = random.iter().fold("sandbar_".to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    });
    let config = TokenConfig {
        name: args.name,
        scopes: BTreeSet::from([TokenScope::Purge]),
        hash: TokenHash::of(token.as_bytes()),
        expires: args.valid_for.map(|span| Expiry::after(SystemClock.now(), span)),
    };
    let table = toml::to_string(&config).map_err(anyhow::Error::from)?;
    output.answer(&json!({ "token": token, "table": config }), || {
        format!(
            "# The token, for its owner. It is written nowhere else:\n{token}\n\n# For the tenant's settings, which know it by its \
             hash alone:\n[[tenant.token]]\n{}",
            table.trim_end()
        )
    })?;
    Ok(())
}
