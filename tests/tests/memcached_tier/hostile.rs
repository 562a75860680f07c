//! Servers that are too old, too new, or none at all.

use sandbar::tier::memcached::{MemcachedConfig, Numbering};
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::memcached_server::MemcachedServer;
use sandbar_tests::wait::eventually;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// A server that answers the handshake like memcached and `mg` with `reply`. Lines that it was sent are passed to `seen`.
async fn liar(
    version: &'static str,
    reply: &'static [u8],
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    seen.lock().push(line.clone());
                    let answer: &[u8] = match &*line {
                        "version" => version.as_bytes(),
                        "stats settings" => b"STAT item_size_max 1048576\r\nEND\r\n",
                        "mn" if seen.lock().iter().rev().nth(1).is_some_and(|line| line.starts_with("ms")) => {
                            b"HD O0\r\n"
                        }
                        "mn" => b"MN\r\n",
                        line if line.starts_with("ms sandbar:probe") => continue,
                        _ => reply,
                    };
                    if write.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

fn seen() -> Arc<parking_lot::Mutex<Vec<String>>> {
    Arc::default()
}

/// Waits until it is known why the only server can't be used.
async fn assert_unusable(address: &str, why: &str) -> anyhow::Result<()> {
    let tier = MemcachedTier::open(&config(&[address.to_owned()], Numbering::Fleet), Arc::new(SystemClock)).await?;
    let is_known = async || tier.health().last_error.is_some_and(|error| error.contains(why));
    eventually(&format!("it is tried: {why}"), is_known).await;
    assert!(!tier.health().available);
    assert!(matches!(put(&tier, 1, 10).await, Err(TierError::Open { .. })));
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_too_old_is_sent_nothing_but_the_question() -> anyhow::Result<()> {
    let seen = seen();
    let address = liar("VERSION 1.5.22\r\n", b"ERROR\r\n", Arc::clone(&seen)).await?;
    assert_unusable(&address, "1.6 is the least").await?;
    assert!(seen.lock().iter().all(|line| line == "version"), "{seen:?}");
    Ok(())
}

/// A server that says it is new and takes content for commands all the same.
#[tokio::test]
async fn a_server_that_takes_content_for_commands_is_sent_none() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    let seen = seen();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                noted.lock().push(line.clone());
                let answer: &[u8] = match &*line {
                    "version" => b"VERSION 1.6.2\r\n",
                    "mn" => b"MN\r\n",
                    _ => b"CLIENT_ERROR bad command line format\r\n",
                };
                if write.write_all(answer).await.is_err() {
                    break;
                }
            }
        }
    });
    assert_unusable(&address, "does not speak the meta protocol").await?;
    let known = ["version", "mn", "stats settings", "ms sandbar:probe 2 T1 O0"];
    assert!(seen.lock().iter().all(|line| known.contains(&&**line)), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn replies_that_do_not_fit_are_errors_and_never_entries() -> anyhow::Result<()> {
    let replies: [(&[u8], &str); 8] = [
        (b"VA 5 O99\r\nhello\r\n", "answers request 99"),
        (b"VA 5\r\nhello\r\n", "does not answer"),
        (b"VA 5 O1\r\nhello, you\r\n", "longer than it said"),
        (b"VA 99999999999 O1\r\n", "no reply"),
        (b"HD O1\r\n", "does not answer"),
        (b"HTTP/1.1 200 OK\r\n", "no reply"),
        (b"EN\nEN\n", "as lines do"),
        (b"SERVER_ERROR out of order\r\n", "out of order"),
    ];
    for (reply, why) in replies {
        let address = liar("VERSION 1.6.18\r\n", reply, seen()).await?;
        let tier = member(&[address]).await?;
        let error = get(&tier, 1).await.expect_err("no such reply can be believed");
        assert!(error.to_string().contains(why), "{}: {error}", String::from_utf8_lossy(reply));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_entry_of_the_key_is_a_miss() -> anyhow::Result<()> {
    let address = liar("VERSION 1.6.18\r\n", b"VA 5 O1\r\nhello\r\n", seen()).await?;
    let tier = member(&[address]).await?;
    assert_eq!(get(&tier, 1).await?, None);
    assert_eq!(tier.health().unreadable, 1);

    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let tier = member(&[server.address()]).await?;
    let (one, two, now) = (key("shop", 1), key("shop", 2), SystemClock.now());
    // The entry of one key under another: what a collision of hashes would look like.
    tier.put(&one, entry(&two, body(2, 100), 0, now), now.saturating_add(HOUR)).await?;
    assert_eq!(get(&tier, 1).await?, None);
    assert_eq!(tier.health().unreadable, 1);
    Ok(())
}

#[tokio::test]
async fn garbage_cuts_the_server_off_and_it_heals() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let proxy = FaultProxy::start(server.addr()).await?;
    let tier = member(&[proxy.addr().to_string()]).await?;
    put(&tier, 1, 100).await?;
    proxy.set(Fault::Garbage);
    assert!(get(&tier, 1).await.is_err());
    assert!(matches!(get(&tier, 1).await, Err(TierError::Open { .. })));
    proxy.set(Fault::None);
    let expected = Some(body(1, 100));
    eventually("it is there again", async || get(&tier, 1).await.is_ok_and(|found| found == expected)).await;
    Ok(())
}

#[tokio::test]
async fn without_memory_for_a_value_it_is_missed_and_the_next_is_read() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let writer = member(&[server.address()]).await?;
    put(&writer, 1, 500_000).await?;
    put(&writer, 2, 1000).await?;
    let budget = MemoryBudget::new(200_000);
    let poor = MemcachedConfig { budget: Arc::clone(&budget), ..config(&[server.address()], Numbering::Fleet) };
    let poor = opened(&poor).await?;
    assert_eq!(get(&poor, 1).await?, None);
    assert_eq!(get(&poor, 2).await?, Some(body(2, 1000)));
    assert_eq!((poor.health().errors, poor.health().unreadable), (0, 0));
    assert_eq!(budget.stats().used_bytes, 0, "all is given back");
    Ok(())
}
