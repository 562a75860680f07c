//! Ports that a server can come back to after it was down. A port from the kernel's ephemeral range could meanwhile
//! become the local end of an outgoing connection; these ports lie below that range.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context;

/// The range: below Linux's ephemeral ports (32,768 and up), above what is commonly in use.
const FIRST: u16 = 10_240;
const COUNT: u16 = 22_000;

/// How many have been tried by this process.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback interface on which nothing listens, and that the kernel does not choose by itself.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    // Processes that search at the same time begin at different places.
    let start = u16::try_from(u64::from(std::process::id()) * 7919 % u64::from(COUNT))?;
    for _ in 0..COUNT {
        let port = FIRST
            + (u32::from(start) + u32::from(TRIED.fetch_add(1, Ordering::Relaxed)))
                .checked_rem(u32::from(COUNT))
                .and_then(|place| u16::try_from(place).ok())
                .context("within the range")?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("all ports from {FIRST} on are taken")
}
