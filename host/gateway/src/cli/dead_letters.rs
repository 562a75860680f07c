//! `sandbar dead-letters`: held writes that an origin refused, or did not take in time.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, segment};
use super::{Failure, Output};

/// Arguments of `sandbar dead-letters`.
#[derive(Debug, Args)]
pub(super) struct LettersArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose letters these are.
    #[arg(long, default_value = "default", global = true)]
    tenant: String,
    #[command(subcommand)]
    command: LettersCommand,
}

#[derive(Debug, Subcommand)]
enum LettersCommand {
    /// List them, in the order in which they were written. Credentials are not shown.
    List {
        /// Those behind this number.
        #[arg(long)]
        after: Option<u64>,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Send one again.
    Retry {
        /// Its number.
        seq: u64,
        /// Although a later write of its target has been sent, which it would undo.
        #[arg(long)]
        overtaken: bool,
    },
    /// Forget one for good.
    Drop {
        /// Its number.
        seq: u64,
    },
}

pub(super) async fn run(args: LettersArgs, output: Output) -> Result<(), Failure> {
    let client = args.admin.client()?;
    let path = format!("/tenants/{}/dead-letters", segment(&args.tenant));
    match args.command {
        LettersCommand::List { after, limit } => {
            let after = after.map_or_else(String::new, |after| format!("&after={after}"));
            let found = client.get(&format!("{path}?limit={limit}{after}")).await?;
            output.answer(&found, || text(&found))?;
        }
        LettersCommand::Retry { seq, overtaken } => {
            let path = format!("{path}/{seq}/retry?overtaken={overtaken}");
            let answer = client.send_json(Method::POST, &path, &json!({})).await?;
            output.answer(&answer, || format!("{seq} is sent again"))?;
        }
        LettersCommand::Drop { seq } => {
            client.send_json(Method::DELETE, &format!("{path}/{seq}"), &json!({})).await?;
            output.answer(&json!({ "seq": seq, "state": "dropped" }), || format!("{seq} is dropped"))?;
        }
    }
    Ok(())
}

fn text(found: &Value) -> String {
    let letters = found["letters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        return "there are no dead letters".to_owned();
    }
    letters.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(letter: &Value) -> String {
    let text = |key: &str| letter[key].as_str().unwrap_or("?").to_owned();
    let overtaken = if letter["overtaken"] == true { "; a later write of it has been sent" } else { "" };
    format!(
        "{:>8}  {} {}  since {}, {} bytes: {}{overtaken}",
        letter["seq"],
        text("method"),
        text("url"),
        text("dead_since"),
        letter["bytes"],
        text("reason")
    )
}
