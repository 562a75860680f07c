//! Values in memory and on a disk: decoded once, charged, told from other versions, planned by the tenant's policy.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sandbar::Sandbar;
use sandbar::clock::Timestamp;
use sandbar::policy::Binding;
use sandbar::policy::freshness::{Fill, Freshness, Plan};
use sandbar::values::{Fresh, Lookup, SITE, Values};
use sandbar_tests::wait::eventually;
use serde::{Deserialize, Serialize};

use super::{MINUTE, Refuses, TENANT, Text, builder, clock, counted, minute};

fn texts(sandbar: &Sandbar, codec: &Text) -> Values<String, Text> {
    sandbar.values_in(TENANT, "texts", codec.clone()).expect("a name").keeping(minute())
}

fn drop_l1(sandbar: &Sandbar) {
    sandbar.tenant(TENANT).expect("it is there").clear_memory();
}

#[tokio::test]
async fn a_value_from_below_is_decoded_once() -> anyhow::Result<()> {
    let disk = tempfile::tempdir()?;
    let sandbar = builder(&clock()).disk(disk.path(), 16 << 20).build()?;
    let codec = Text::default();
    let values = texts(&sandbar, &codec);
    let put: Arc<String> = Arc::new("a value".to_owned());
    values.put("key", Arc::clone(&put)).await?;
    let hit = values.get("key").await?.into_value().expect("it is there");
    assert!(Arc::ptr_eq(&hit, &put) && codec.decoded() == 0, "the very value that was put");

    drop_l1(&sandbar);
    let found = values.get("key").await?.into_value().expect("it is on the disk");
    let never = async || -> Result<String, Infallible> { panic!("it is there") };
    let loaded = values.get_or_load("key", never).await?.expect("it is there");
    let hit = values.get("key").await?.into_value().expect("it is there");
    assert!(Arc::ptr_eq(&found, &loaded) && Arc::ptr_eq(&found, &hit) && *found == *put);
    assert_eq!(codec.decoded(), 1);

    drop_l1(&sandbar);
    let values = texts(&sandbar, &codec);
    let readers = (0..8).map(|_| {
        let values = values.clone();
        tokio::spawn(async move { values.get("key").await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await??.into_value().as_deref(), Some(&*put));
    }
    let (one, other) = (values.get("key").await?.into_value(), values.get("key").await?.into_value());
    assert!(one.zip(other).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)), "races settle on one");
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    name: String,
    pence: Option<u32>,
}

#[tokio::test]
async fn a_restart_keeps_values_and_what_was_purged_stays_away() -> anyhow::Result<()> {
    let (clock, disk) = (clock(), tempfile::tempdir()?);
    let open = || builder(&clock).disk(disk.path(), 16 << 20).build();
    let product = || Product { name: "tea".into(), pence: Some(495) };
    {
        let sandbar = open()?;
        let values = sandbar.values::<Product>(TENANT, "products")?.keeping(minute().absent_for(MINUTE));
        for key in ["kept", "purged"] {
            values.put(key, product()).await?;
        }
        values.put("none", Fresh::absent()).await?;
        values.delete("purged").await?;
        sandbar.drain().await;
    }
    let sandbar = open()?;
    let values = sandbar.values::<Product>(TENANT, "products")?;
    let known = values.get_many(&["kept", "purged", "none"]).await?;
    assert_eq!(known, [Lookup::Value(Arc::new(product())), Lookup::Miss, Lookup::Absent]);
    let explained = values.explain("kept").await?;
    assert_eq!((&*explained.site, &*explained.target, &*explained.next.cache), (SITE, "/products/kept", "hit"));
    let places: Vec<_> = explained.tiers.iter().map(|place| place.entry.as_ref().expect("it is there")).collect();
    assert!(places.len() == 2 && places[0].body_bytes == places[1].body_bytes, "{places:?}");
    Ok(())
}

#[tokio::test]
async fn another_version_is_a_miss_and_so_is_what_can_not_be_decoded() -> anyhow::Result<()> {
    let disk = tempfile::tempdir()?;
    let sandbar = builder(&clock()).disk(disk.path(), 16 << 20).build()?;
    texts(&sandbar, &Text::default()).put("key", "old".to_owned()).await?;
    let second = Text { version: 2, ..Text::default() };
    assert_eq!(texts(&sandbar, &second).get("key").await?, Lookup::Miss);
    assert_eq!((second.decoded(), counted(&sandbar).values_unreadable), (0, 0), "its bytes were not even looked at");
    texts(&sandbar, &second).begin("key")?.fill("new".to_owned()).await?;
    let old = texts(&sandbar, &Text::default()).get("key").await?.into_value();
    assert_eq!(old.as_deref().map(String::as_str), Some("old"), "each version has a value of its own");
    texts(&sandbar, &second).delete("key").await?;
    assert_eq!(texts(&sandbar, &Text::default()).get("key").await?, Lookup::Miss, "and goes with the others");

    for refuses in [Refuses::Error, Refuses::Panic] {
        let fine = texts(&sandbar, &Text::default());
        fine.put("key", "fine".to_owned()).await?;
        drop_l1(&sandbar);
        let before = counted(&sandbar).values_unreadable;
        let unsound = texts(&sandbar, &Text { refuses: Some(refuses), ..Text::default() });
        assert_eq!(unsound.get("key").await?, Lookup::Miss);
        assert_eq!(counted(&sandbar).values_unreadable, before + 1);
        let loaded = unsound.get_or_load("key", async || Ok::<_, Infallible>("loaded".to_owned())).await?;
        assert_eq!(loaded.as_deref().map(String::as_str), Some("loaded"));
    }
    // What is no value of this type in memory is none either.
    let numbers = sandbar.values_in::<Number, _>(TENANT, "texts", Same)?;
    assert_eq!(numbers.get("key").await?, Lookup::Miss);
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Number;

/// A codec that passes itself off as another one.
struct Same;

impl sandbar::values::Codec<Number> for Same {
    fn name(&self) -> &'static str {
        "text"
    }

    fn version(&self) -> u32 {
        0
    }

    fn encode(&self, _: &Number) -> Result<Vec<u8>, sandbar::body::BoxError> {
        Ok(b"\xff".to_vec())
    }

    fn decode(&self, _: &[u8]) -> Result<Number, sandbar::body::BoxError> {
        Err("none of these".into())
    }
}

#[tokio::test]
async fn memory_is_charged_what_the_codec_says_until_the_value_goes() -> anyhow::Result<()> {
    const WEIGHT: u64 = 1 << 20;
    let sandbar = builder(&clock()).memory_bytes(512 << 20).build()?;
    let values = texts(&sandbar, &Text { weight_bytes: Some(WEIGHT), ..Text::default() });
    let entries = || {
        let uses = sandbar.stats().memory.uses;
        uses.iter().find(|usage| usage.what == "entries").map_or(0, |usage| usage.bytes)
    };
    let before = entries();
    values.put("key", "small".to_owned()).await?;
    let charged = entries() - before;
    assert!((WEIGHT..WEIGHT + 4096).contains(&charged), "{charged} bytes");
    let held = sandbar.stats().tenants[0].memory.resident_bytes;
    assert!((WEIGHT..WEIGHT + 4096).contains(&held), "{held} bytes");
    values.delete("key").await?;
    eventually("the sweep frees it", async || entries() == before).await;

    // What is heavier than a shard is not kept, and is not charged.
    let heavy = texts(&sandbar, &Text { weight_bytes: Some(1 << 40), ..Text::default() });
    let given = heavy.get_or_load("key", async || Ok::<_, Infallible>("heavy".to_owned())).await?;
    assert_eq!(given.as_deref().map(String::as_str), Some("heavy"));
    assert_eq!(values.get("key").await?, Lookup::Miss);
    eventually("nothing is charged", async || entries() == before).await;
    Ok(())
}

/// Values of one name are fresh for ten seconds, others not at all.
struct Short;

impl Freshness for Short {
    fn amend(&self, _now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan {
        let stores = fill.site == SITE && fill.target.starts_with("/short/");
        Plan { freshness_lifetime_ms: 10_000, l1: stores, l2: stores, ..standard.clone() }
    }
}

#[tokio::test]
async fn the_tenants_policy_amends_what_the_program_says() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).policy(TENANT, Binding::freshness("short", Short)).build()?;
    let values = sandbar.values::<u32>(TENANT, "short")?;
    values.put("key", 1).await?;
    assert!(values.get("key").await?.into_value().is_some());
    clock.advance(Duration::from_secs(11));
    assert_eq!(values.get("key").await?, Lookup::Miss);
    let others = sandbar.values::<u32>(TENANT, "others")?;
    assert!(others.put("key", 1).await.unwrap_err().to_string().contains("the policy says so"));
    assert_eq!(others.get_or_load("key", async || Ok::<_, Infallible>(2)).await?.as_deref(), Some(&2));
    assert_eq!(others.get("key").await?, Lookup::Miss);
    Ok(())
}

#[tokio::test]
async fn lifetimes_are_spread_as_the_class_says() -> anyhow::Result<()> {
    let clock = clock();
    let mut tenant = sandbar::tenant::config::TenantConfig::named(TENANT);
    tenant.lifetime_jitter_percent = sandbar::setting::Percent::of(50);
    let sandbar = Sandbar::builder().tenant(tenant).native_only().clock(Arc::clone(&clock) as _).build()?;
    let values = sandbar.values::<u32>(TENANT, "v")?.keeping(minute());
    let keys: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for key in &keys {
        values.put(key, 1).await?;
    }
    clock.advance(Duration::from_secs(45));
    let left = values.get_many(&keys).await?.into_iter().filter(|found| *found != Lookup::Miss).count();
    assert!((25..75).contains(&left), "{left} of 100 are fresh");
    Ok(())
}

#[tokio::test]
async fn a_replan_and_other_settings_keep_the_value() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<u32>(TENANT, "v")?;
    values.put("key", 1).await?;
    let before = values.get("key").await?.into_value().expect("it is there");
    sandbar.tenant(TENANT)?.replan();
    let after = values.get("key").await?.into_value().expect("it is still there");
    let mut config = sandbar::tenant::config::TenantConfig::named(TENANT);
    config.fetch_hard_deadline = sandbar::setting::Span::of(MINUTE);
    sandbar.put_tenant(config).await?;
    let then = values.get("key").await?.into_value().expect("it is still there");
    assert!(Arc::ptr_eq(&before, &after) && Arc::ptr_eq(&before, &then));
    Ok(())
}
