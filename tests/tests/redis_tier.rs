//! The shared L2 against a real Redis, in good days and bad ones.

use std::sync::Arc;
use std::time::Duration;

use redis::Commands;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::clock::{Clock, ManualClock, SystemClock, Timestamp};
use sandbar::http::entry::Version;
use sandbar::http::key::KeyHash;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar::tier::{BarrierStore, BreakerConfig, Recorded, Stored, Terms, Tier, TierError, VersionTerms, codec};
use sandbar_tests::entries::{body, body_of, entry, key};
use sandbar_tests::ports::free_port;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually, found, in_time};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const HOUR: Duration = Duration::from_secs(3600);
/// For calls whose deadline is not what a test is about: longer than a machine with other things to do needs for one.
const DEADLINE: Duration = Duration::from_secs(10);
/// For those that are to run into it.
const SHORT_DEADLINE: Duration = Duration::from_millis(100);

fn config(url: String) -> RedisConfig {
    let breaker = BreakerConfig { backoff_max: Duration::from_millis(200), ..BreakerConfig::default() };
    RedisConfig {
        deadline: DEADLINE,
        purge_deadline: DEADLINE,
        connect_deadline: DEADLINE,
        breaker,
        ..RedisConfig::new(url)
    }
}

async fn connect(url: String) -> anyhow::Result<Arc<RedisTier>> {
    let tier = RedisTier::connect(&config(url), Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await, "no connection: {:?}", tier.health());
    Ok(tier)
}

async fn put(tier: &RedisTier, n: u64, bytes: usize) -> Result<(), TierError> {
    let (key, now) = (key("shop", n), SystemClock.now());
    tier.put(&key, entry(&key, body(n, bytes), 0, now), now.saturating_add(HOUR)).await
}

async fn get(tier: &RedisTier, n: u64) -> Result<Option<Vec<u8>>, TierError> {
    let found = tier.get(&[key("shop", n)]).await?.remove(0);
    Ok(body_of(found.as_ref()).map(<[u8]>::to_vec))
}

fn raw_key(n: u64) -> String {
    format!("sandbar:{{shop}}:e:{:032x}", key("shop", n).hash().0)
}

fn product(n: u64) -> Purge {
    Purge { scope: Scope::SurrogateKey(format!("product-{n}")), mode: PurgeMode::Hard }
}

/// Asks until it works again; what it has then.
async fn heals(tier: &RedisTier) -> Option<Vec<u8>> {
    found("it works again", async || get(tier, 0).await.ok()).await
}

/// Waits until a server that can't be used was tried, and why it can't be is known.
async fn assert_unusable(tier: &RedisTier, why: &str) {
    let is_known = async || tier.health().last_error.is_some_and(|error| error.contains(why));
    eventually(&format!("it is tried: {why}"), is_known).await;
    assert!(!tier.health().available);
}

#[tokio::test]
async fn entries_are_stored_read_together_and_removed() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    for url in [server.url(), server.unix_url()] {
        let tier = connect(url).await?;
        for n in 0..20 {
            put(&tier, n, usize::try_from(n)? * 5000).await?;
        }
        let keys: Vec<_> = (0..25).map(|n| key("shop", n)).collect();
        let entries = tier.get(&keys).await?;
        for (n, found) in (0..25_u64).zip(&entries) {
            let expected = (n < 20).then(|| body(n, n as usize * 5000));
            assert_eq!(body_of(found.as_ref()), expected.as_deref(), "entry {n}");
        }
        tier.remove(&keys[3]).await?;
        assert_eq!(get(&tier, 3).await?, None);
        assert_eq!(tier.get(&[]).await?, []);
        assert_eq!((tier.health().errors, tier.health().unreadable), (0, 0));
    }
    Ok(())
}

#[tokio::test]
async fn entry_lives_until_its_time_and_no_longer_than_the_longest() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let config = RedisConfig { lifetime_max: 2 * HOUR, ..config(server.url()) };
    let tier = RedisTier::connect(&config, Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await);
    let now = SystemClock.now();
    for (n, lifetime) in [(1, HOUR), (2, 1000 * HOUR), (3, Duration::ZERO)] {
        let key = key("shop", n);
        tier.put(&key, entry(&key, body(n, 10), 0, now), now.saturating_add(lifetime)).await?;
    }
    let mut redis = server.connection()?;
    let mut left_ms = |n: u64| redis.pttl::<_, i64>(raw_key(n));
    assert!((3_540_000..=3_600_000).contains(&left_ms(1)?));
    assert!((7_140_000..=7_200_000).contains(&left_ms(2)?));
    assert_eq!(left_ms(3)?, -2, "it is not there");
    Ok(())
}

#[tokio::test]
async fn sequence_comes_with_the_entries_and_barriers_with_the_sequence() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    assert_eq!(tier.get_with_sequence("shop", &[key("shop", 1)]).await?.sequence, Some(0));
    let now = SystemClock.now();
    let first = tier.raise("shop", &product(1), 0, now).await?.sequence;
    let ahead = first + 60_000_000;
    assert_eq!(tier.raise("shop", &product(2), ahead, now).await?.sequence, ahead + 1, "above what a node has seen");
    let again = tier.raise("shop", &product(1), 0, now).await?;
    assert_eq!(again, Recorded { sequence: ahead + 2, before: first }, "it never goes back, whatever the clock says");
    let last = again.sequence;
    assert!(tier.raise("news", &product(1), 0, now).await?.sequence < last, "tenants count apart");
    assert_eq!(tier.get_with_sequence("shop", &[]).await?.sequence, Some(last));

    let mut raised = tier.raised_since("shop", 0).await?;
    raised.sort_by_key(|barrier| barrier.sequence);
    let seen: Vec<_> = raised.iter().map(|barrier| (barrier.sequence, barrier.purge.clone())).collect();
    assert_eq!(seen, [(last - 1, product(2)), (last, product(1))], "the same purge again is kept once");
    assert!(raised.iter().all(|barrier| barrier.raised == now));
    assert_eq!(tier.raised_since("shop", last - 1).await?.len(), 1);
    assert_eq!(tier.raised_since("nobody", 0).await?, []);

    // Long after, nothing that the old ones could hold back is left.
    let later = now.saturating_add(Duration::from_secs(31 * 86_400));
    assert_eq!(tier.raise("shop", &product(3), 0, later).await?.sequence, last + 1);
    let raised = tier.raised_since("shop", 0).await?;
    assert_eq!((raised.len(), raised[0].sequence), (1, last + 1));
    Ok(())
}

#[tokio::test]
async fn sequence_rises_even_over_a_server_that_forgot_it() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let before = tier.raise("shop", &product(1), 0, SystemClock.now()).await?.sequence;
    server.restart_empty()?;
    let tier = connect(server.url()).await?;
    let after = tier.raise("shop", &product(1), 0, SystemClock.now()).await?.sequence;
    assert!(after > before, "an entry from before would be above the barrier: {before} {after}");
    Ok(())
}

#[tokio::test]
async fn too_many_barriers_become_one_for_the_tenant() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let most = 16_384;
    let now = SystemClock.now();
    let mut given = Vec::new();
    for n in 0..=most {
        given.push(tier.raise("shop", &product(n), 0, now).await?.sequence);
    }
    assert!(given.is_sorted_by(|a, b| a < b));
    let raised = tier.raised_since("shop", 0).await?;
    let everything = raised.iter().find(|barrier| barrier.purge.scope == Scope::Everything);
    let highest_gone = given[usize::try_from(most - most / 2)?];
    assert_eq!(everything.map(|barrier| barrier.sequence), Some(highest_gone));
    assert_eq!(raised.len() as u64, most / 2 + 1);
    assert!(raised.iter().all(|barrier| barrier.sequence >= highest_gone));
    Ok(())
}

#[tokio::test]
async fn entry_judged_before_a_purge_is_refused_after_it() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let (key, now) = (key("shop", 1), SystemClock.now());
    let until = now.saturating_add(HOUR);
    let older = || entry(&key, body(0, 100), 0, now);
    let judged_at = |sequence| Terms { judged_at: Some(sequence), ..Terms::default() };
    let raised = tier.raise("shop", &product(1), 0, now).await?.sequence;
    assert_eq!(tier.put_on(judged_at(0), &key, older(), until).await?, Stored::Behind(raised));
    assert_eq!(get(&tier, 1).await?, None);
    let newer = entry(&key, body(1, 100), raised, now);
    assert_eq!(tier.put_on(judged_at(raised), &key, newer, until).await?, Stored::Yes);
    assert_eq!(tier.put_on(judged_at(0), &key, older(), until).await?, Stored::Behind(raised));
    assert_eq!(get(&tier, 1).await?, Some(body(1, 100)), "the newer one is still there");
    Ok(())
}

#[tokio::test]
async fn entry_of_an_earlier_lease_does_not_replace_that_of_a_later_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let (key, now) = (key("shop", 1), SystemClock.now());
    let until = now.saturating_add(HOUR);
    let token = |token| Terms { judged_at: Some(0), token: Some(token), ..Terms::default() };
    assert_eq!(tier.put_on(token(7), &key, entry(&key, body(7, 100), 0, now), until).await?, Stored::Yes);
    assert_eq!(tier.put_on(token(6), &key, entry(&key, body(6, 100), 0, now), until).await?, Stored::Fenced);
    assert_eq!(get(&tier, 1).await?, Some(body(7, 100)));
    assert_eq!(tier.put_on(token(7), &key, entry(&key, body(8, 100), 0, now), until).await?, Stored::Yes, "again");
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_read_is_a_miss_and_counted() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let mut redis = server.connection()?;
    let whole = codec::encode(&entry(&key("shop", 1), body(1, 100), 0, SystemClock.now()));
    redis.set::<_, _, ()>(raw_key(0), "garbage")?;
    redis.set::<_, _, ()>(raw_key(1), &whole[..whole.len() - 1])?;
    redis.lpush::<_, _, ()>(raw_key(2), "another type")?;
    redis.setrange::<_, _, ()>(raw_key(3), 50 << 20, "huge")?;
    redis.set::<_, _, ()>(raw_key(4), &whole)?;
    redis.set::<_, _, ()>("sandbar:{shop}:seq", "nonsense")?;
    put(&tier, 5, 1000).await?;
    let keys: Vec<_> = (0..6).map(|n| key("shop", n)).collect();
    let found = tier.get_with_sequence("shop", &keys).await?;
    let there: Vec<bool> = found.entries.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, false, false, false, false, true], "one bad key spoils no other");
    assert_eq!(tier.health().unreadable, 5);
    assert!(tier.health().available);
    put(&tier, 2, 1000).await?;
    assert_eq!(get(&tier, 2).await?, Some(body(2, 1000)), "it can be replaced");
    Ok(())
}

#[tokio::test]
async fn server_that_is_down_at_the_start_is_found_later() -> anyhow::Result<()> {
    let mut server = RedisServer::prepare(&[])?;
    let tier = RedisTier::connect(&config(server.url()), Arc::new(SystemClock))?;
    assert_unusable(&tier, "refused").await;
    // The error itself says that nobody has waited for a server that is known to be down.
    assert!(matches!(get(&tier, 0).await, Err(TierError::Open { .. })));
    assert!(matches!(put(&tier, 0, 10).await, Err(TierError::Open { .. })));
    assert!(matches!(tier.raise("shop", &product(1), 0, SystemClock.now()).await, Err(TierError::Open { .. })));
    server.restart()?;
    heals(&tier).await;
    put(&tier, 0, 10).await?;
    assert_eq!(get(&tier, 0).await?, Some(body(0, 10)));
    Ok(())
}

#[tokio::test]
async fn server_that_dies_and_comes_back_empty_is_used_again() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    for round in 0..3 {
        put(&tier, 0, 10).await?;
        server.kill();
        // The first call finds out. Then nobody waits any more: the error itself says so.
        assert!(in_time("it fails", get(&tier, 0)).await.is_err(), "round {round}");
        for _ in 0..50 {
            assert!(matches!(get(&tier, 0).await, Err(TierError::Open { .. })), "round {round}");
        }
        assert!(!tier.health().available);
        server.restart_empty()?;
        assert_eq!(heals(&tier).await, None);
    }
    Ok(())
}

#[tokio::test]
async fn paused_server_costs_a_deadline_each_until_it_is_left_alone() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    put(&*connect(server.url()).await?, 0, 10).await?;
    let hasty = RedisConfig { deadline: SHORT_DEADLINE, purge_deadline: SHORT_DEADLINE, ..config(server.url()) };
    let tier = RedisTier::connect(&hasty, Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await);
    server.pause()?;
    let failures_max = BreakerConfig::default().failures_max;
    for n in 0..failures_max - 1 {
        let began = SystemClock.monotonic();
        let error = in_time("it fails", get(&tier, 0)).await.expect_err("it is paused");
        let took = SystemClock.monotonic().saturating_sub(began);
        assert!(matches!(error, TierError::Deadline { deadline_ms: 100, .. }), "call {n}: {error}");
        assert!(took >= SHORT_DEADLINE, "call {n}: {took:?}");
        if n == 0 {
            // Reads wait for the barriers, too.
            let error = tier.raised_since("shop", 0).await.expect_err("it is paused");
            assert!(matches!(error, TierError::Deadline { deadline_ms: 100, .. }), "{error}");
        }
    }
    assert!(!tier.health().available);
    for _ in 0..100 {
        // The error itself says that nobody has waited.
        assert!(matches!(get(&tier, 0).await, Err(TierError::Open { .. })));
        assert!(matches!(tier.raised_since("shop", 0).await, Err(TierError::Open { .. })));
    }
    server.resume()?;
    assert_eq!(heals(&tier).await, Some(body(0, 10)));
    Ok(())
}

#[tokio::test]
async fn calls_and_bytes_on_their_way_are_bounded() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let config = RedisConfig { calls_max: 10, put_bytes_max: 1 << 20, ..config(server.url()) };
    let tier = RedisTier::connect(&config, Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await);

    server.pause()?;
    let mut gets = JoinSet::new();
    for n in 0..100 {
        let tier = Arc::clone(&tier);
        gets.spawn(async move { get(&tier, n).await });
    }
    for error in ended(&mut gets, 90).await? {
        let error = error.expect_err("the server is paused");
        assert!(error.to_string().contains("too many calls"), "{error}");
    }
    server.resume()?;
    assert!(ended(&mut gets, 10).await?.iter().all(Result::is_ok), "as many as may be under way");

    server.pause()?;
    let mut puts = JoinSet::new();
    for n in 0..20 {
        let tier = Arc::clone(&tier);
        puts.spawn(async move { put(&tier, n, 300_000).await });
    }
    assert!(ended(&mut puts, 17).await?.iter().all(Result::is_err));
    assert_eq!(tier.dropped_puts(), 17, "three of them fit");
    server.resume()?;
    assert!(ended(&mut puts, 3).await?.iter().all(Result::is_ok));
    Ok(())
}

/// What so many of the tasks have come to: those that end first.
async fn ended<T: 'static>(tasks: &mut JoinSet<T>, count: usize) -> anyhow::Result<Vec<T>> {
    let mut ended = Vec::with_capacity(count);
    while ended.len() < count {
        let next = in_time("one more has ended", tasks.join_next()).await;
        ended.push(next.expect("so many were begun")?);
    }
    Ok(ended)
}

#[tokio::test]
async fn server_that_talks_nonsense_is_an_error_and_no_more() -> anyhow::Result<()> {
    for nonsense in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"$99999999999999\r\n", b"*2147483647\r\n$3\r\nabc\r\n", b""]
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("redis://{}/", listener.local_addr()?);
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut question = [0; 1024];
                    while stream.read(&mut question).await.is_ok_and(|bytes| bytes > 0) {
                        let _ = stream.write_all(nonsense).await;
                    }
                });
            }
        });
        // Some of it is only waited for in vain.
        let hasty = RedisConfig { deadline: SHORT_DEADLINE, connect_deadline: SHORT_DEADLINE, ..config(url) };
        let tier = RedisTier::connect(&hasty, Arc::new(SystemClock))?;
        assert_unusable(&tier, "").await;
        assert!(in_time("it fails", get(&tier, 0)).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn clock_that_differs_is_reported_and_corrected() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let right = connect(server.url()).await?;
    let now = SystemClock.now();
    let behind = Arc::new(ManualClock::starting_at(Timestamp::from_millis(now.as_millis() - 90_000)));
    let wrong = RedisTier::connect(&config(server.url()), Arc::clone(&behind) as Arc<dyn Clock>)?;
    assert!(wrong.ready(PATIENCE).await);
    let skew_ms = wrong.health().clock_skew_ms.unwrap_or_default();
    assert!((90_000..150_000).contains(&skew_ms), "{skew_ms}");
    assert!(right.health().clock_skew_ms.is_some_and(|skew_ms| skew_ms.abs() < 1000));

    // What the node with the slow clock received "now" is as new to the other one.
    let key = key("shop", 1);
    wrong.put(&key, entry(&key, body(1, 10), 0, behind.now()), behind.now().saturating_add(HOUR)).await?;
    for (tier, clock) in [(&right, &SystemClock as &dyn Clock), (&wrong, &*behind)] {
        let found = tier.get(std::slice::from_ref(&key)).await?.remove(0);
        let Some(sandbar::http::entry::Entry::Response(found)) = found else { panic!("it is there") };
        let age = found.age(clock.now());
        assert!(age < Duration::from_secs(60), "{age:?} old");
        assert!(found.received <= clock.now().saturating_add(Duration::from_secs(1)));
    }
    Ok(())
}

#[tokio::test]
async fn purge_records_do_not_expire_where_what_expires_may_be_evicted() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    assert_eq!(tier.evicts_any_key(), None);
    tier.raise("shop", &product(1), 0, SystemClock.now()).await?;
    let mut redis = server.connection()?;
    for name in ["seq", "barriers", "raised"] {
        assert_eq!(redis.ttl::<_, i64>(format!("sandbar:{{shop}}:{name}"))?, -1, "{name}");
    }
    // Those of a tenant that was removed do, until there is a purge for one of its name again.
    tier.forget_later("shop").await?;
    let lives = |redis: &mut redis::Connection, name: &str| redis.ttl::<_, i64>(format!("sandbar:{{shop}}:{name}"));
    for name in ["seq", "barriers", "raised"] {
        let days = lives(&mut redis, name)? / 86_400;
        assert!((30..=31).contains(&days), "{name}: {days} days");
    }
    tier.raise("shop", &product(2), 0, SystemClock.now()).await?;
    for name in ["seq", "barriers", "raised"] {
        assert_eq!(lives(&mut redis, name)?, -1, "{name}");
    }
    let reckless = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu"])?;
    assert_eq!(connect(reckless.url()).await?.evicts_any_key().as_deref(), Some("allkeys-lfu"));
    Ok(())
}

#[tokio::test]
async fn user_and_password_come_with_the_url() -> anyhow::Result<()> {
    let user = ["--user", "cache", "on", ">pa55", "~sandbar:*", "+@all"];
    let server = RedisServer::start_with(&[&user[..], &["--user", "default", "off"]].concat())?;
    let with = |user: &str| server.url().replace("redis://", &format!("redis://{user}@"));
    let tier = connect(with("cache:pa55")).await?;
    put(&tier, 1, 10).await?;
    assert_eq!(get(&tier, 1).await?, Some(body(1, 10)));
    let stranger = RedisTier::connect(&config(with("cache:wrong")), Arc::new(SystemClock))?;
    assert_unusable(&stranger, "Password authentication failed").await;
    assert!(!format!("{:?} {stranger:?}", config(with("cache:pa55"))).contains("pa55"), "no password in logs");
    Ok(())
}

#[tokio::test]
async fn certificate_is_checked_against_the_authority_named() -> anyhow::Result<()> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tls");
    let (port, authority) = (free_port()?.to_string(), format!("{data}/ca.pem"));
    let files = ["--tls-cert-file", &format!("{data}/server.pem"), "--tls-key-file", &format!("{data}/server.key")];
    let tls = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-ca-cert-file", &authority];
    let _server = RedisServer::start_with(&[&tls[..], &files[..]].concat())?;
    let url = format!("rediss://127.0.0.1:{port}/");
    let trusting = RedisConfig { ca_file: Some(authority.into()), ..config(url.clone()) };
    let tier = RedisTier::connect(&trusting, Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await, "{:?}", tier.health());
    put(&tier, 1, 10_000).await?;
    assert_eq!(get(&tier, 1).await?, Some(body(1, 10_000)));
    let wary = RedisTier::connect(&config(url), Arc::new(SystemClock))?;
    // Nobody the system trusts has signed it.
    assert_unusable(&wary, "UnknownIssuer").await;
    Ok(())
}

#[tokio::test]
async fn wrong_url_or_certificate_is_one_clear_sentence() -> anyhow::Result<()> {
    let clock = || Arc::new(SystemClock);
    let error = RedisTier::connect(&config("localhost:6379".into()), clock()).expect_err("no scheme").to_string();
    assert!(error.contains("redis://host:port"), "{error}");
    let config = RedisConfig { ca_file: Some("/nowhere/ca.pem".into()), ..config("rediss://localhost".into()) };
    let error = RedisTier::connect(&config, clock()).expect_err("no file").to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
    Ok(())
}

#[tokio::test]
async fn older_version_is_refused_until_a_purge_forgets_the_newer_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let tier = connect(server.url()).await?;
    let (key, now) = (key("shop", 1), SystemClock.now());
    let until = now.saturating_add(HOUR);
    let put = |number, sequence, reset_below, tag: Option<u128>| {
        let version = Version { number, clock_us: 0 };
        let version = VersionTerms { version, sequence, reset_below, tag: tag.map(KeyHash) };
        let terms = Terms { version: Some(version), ..Terms::default() };
        let (tier, key) = (&tier, &key);
        async move { tier.put_on(terms, key, entry(key, body(number, 100), sequence, now), until).await }
    };
    assert_eq!(put(9, 5, 0, Some(1)).await?, Stored::Yes);
    assert_eq!(put(10, 5, 0, Some(1)).await?, Stored::Yes, "the same tag is the same content");
    assert_eq!(put(11, 5, 0, Some(2)).await?, Stored::Replaced);
    assert_eq!(put(10, 5, 0, Some(3)).await?, Stored::Older, "numbers, not text");
    assert_eq!(get(&tier, 1).await?, Some(body(11, 100)));
    assert_eq!(put(11, 5, 0, None).await?, Stored::Yes, "the same again");
    assert_eq!(put(u64::MAX, 5, 0, None).await?, Stored::Replaced);
    assert_eq!(put(u64::MAX - 1, 5, 5, None).await?, Stored::Older, "a number that a double can't hold");
    assert_eq!(put(3, 6, 6, None).await?, Stored::Yes, "the purge 6 has forgotten what was fetched under 5");
    assert_eq!(put(2, 7, 6, None).await?, Stored::Older);
    assert_eq!(get(&tier, 1).await?, Some(body(3, 100)));
    Ok(())
}
