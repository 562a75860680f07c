//! Puts that may be late: none brings back what is older than a purge or another put.

use sandbar::barrier::Purge;
use sandbar::values::{Fate, Lookup, PutValueError, Values};

use super::{TENANT, Text, builder, clock, counted, minute};

#[tokio::test]
async fn what_was_read_before_a_purge_or_a_put_is_not_put_back() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values: Values<u32> = sandbar.values(TENANT, "v")?.keeping(minute().surrogate_key("all"));

    assert_eq!(values.begin("a")?.fill(1).await?, Fate::Stored);
    assert_eq!(values.get("a").await?.into_value().as_deref(), Some(&1));

    let reservation = values.begin("a")?;
    values.delete("b").await?;
    assert_eq!(reservation.fill(2).await?, Fate::Stored, "that was another key");

    let reservation = values.begin("a")?;
    values.delete("a").await?;
    assert_eq!(reservation.fill(3).await?, Fate::Overtaken);
    assert_eq!(values.get("a").await?, Lookup::Miss);

    let reservation = values.begin("a")?;
    values.put("a", 5).await?;
    assert_eq!(reservation.fill(4).await?, Fate::Overtaken);
    assert_eq!(values.get("a").await?.into_value().as_deref(), Some(&5));

    for purge in [Purge::surrogate_key("all"), Purge::everything()] {
        let reservation = values.begin("a")?;
        sandbar.purge(TENANT, &[purge]).await?;
        assert_eq!(reservation.fill(6).await?, Fate::Overtaken);
        assert_eq!(values.get("a").await?, Lookup::Miss);
    }
    Ok(())
}

#[tokio::test]
async fn writes_that_overlap_leave_nothing() -> anyhow::Result<()> {
    let disk = tempfile::tempdir()?;
    let sandbar = builder(&clock()).disk(disk.path(), 16 << 20).build()?;
    let values: Values<u32> = sandbar.values(TENANT, "v")?.keeping(minute().surrogate_key("all"));
    values.put("a", 0).await?;

    let replaced = values.begin("a")?.replace(1).await?;
    assert_eq!((replaced.fate, replaced.purge.recorded), (Fate::Stored, 1));
    assert_eq!(values.get("a").await?.into_value().as_deref(), Some(&1));

    let (one, other) = (values.begin("a")?, values.begin("a")?);
    assert_eq!(one.replace(2).await?.fate, Fate::Stored);
    assert_eq!(other.replace(3).await?.fate, Fate::Overtaken);
    assert_eq!(values.get("a").await?, Lookup::Miss);

    let reservation = values.begin("a")?;
    sandbar.purge(TENANT, &[Purge::surrogate_key("all")]).await?;
    assert_eq!(reservation.replace(4).await?.fate, Fate::Overtaken);
    assert_eq!(values.get("a").await?, Lookup::Miss);

    for _ in 0..200 {
        let reservations = [values.begin("a")?, values.begin("a")?, values.begin("a")?];
        let replacing = reservations.into_iter().map(|reservation| tokio::spawn(reservation.replace(5)));
        let mut stored = 0;
        for replaced in replacing {
            stored += usize::from(replaced.await??.fate == Fate::Stored);
        }
        assert!(stored <= 1, "the first may be stored, until the next is there");
        assert_eq!(values.get("a").await?, Lookup::Miss);
    }
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_stored_is_refused_with_the_reason() -> anyhow::Result<()> {
    let mut tenant = sandbar::tenant::config::TenantConfig::named(TENANT);
    tenant.body_max = Some("1KiB".parse().map_err(anyhow::Error::msg)?);
    let sandbar = sandbar::Sandbar::builder().tenant(tenant).native_only().clock(clock() as _).build()?;
    let values = sandbar.values_in::<String, _>(TENANT, "texts", Text::default())?.keeping(minute());
    values.put("a", "old".to_owned()).await?;
    let refused = |put: Result<_, PutValueError>| put.map(|_: sandbar::cache::PurgeReport| ()).unwrap_err().to_string();
    assert!(refused(values.put("a", "long".repeat(1000)).await).contains("4000 bytes, body_max is 1024"));
    assert!(refused(values.put("a", "no bytes".to_owned()).await).contains("it has none"));
    let keyed = values.keeping(minute().surrogate_key("two words"));
    assert!(refused(keyed.put("a", "new".to_owned()).await).contains("without spaces"));
    assert_eq!(values.get("a").await?.into_value().as_deref().map(String::as_str), Some("old"), "nothing has changed");

    // A load has its callers, whatever may be stored.
    let long = values.get_or_load("b", async || Ok::<_, std::convert::Infallible>("long".repeat(1000))).await?;
    assert_eq!(long.map(|text| text.len()), Some(4000));
    assert_eq!(values.get("b").await?, Lookup::Miss);
    assert_eq!(counted(&sandbar).too_large, 1);

    // A write to the database has been made: what was there goes, whatever becomes of the new value.
    assert!(values.begin("a")?.replace("long".repeat(1000)).await.is_err());
    assert_eq!(values.get("a").await?, Lookup::Miss);
    Ok(())
}
