//! Several values in one call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar::values::{LoadError, Lookup, Values};
use sandbar_tests::origin::Gate;
use sandbar_tests::wait::eventually;

use super::{MINUTE, TENANT, builder, clock, counted, minute, settled};

/// The keys of each call of a loader.
type Calls = Arc<Mutex<Vec<Vec<String>>>>;

/// Loads the length of each key; those that begin with `no` have no value.
async fn lengths(values: &Values<usize>, keys: &[&str], calls: &Calls) -> HashMap<String, Arc<usize>> {
    let (keys, calls) = (keys.iter().map(|key| (*key).to_owned()), Arc::clone(calls));
    let load = move |keys: Vec<String>| {
        calls.lock().push(keys.clone());
        async move {
            let there = keys.into_iter().filter(|key| !key.starts_with("no"));
            Ok::<HashMap<String, usize>, Infallible>(there.map(|key| (key.clone(), key.len())).collect())
        }
    };
    values.get_or_load_many(keys, load).await.expect("no error")
}

#[tokio::test]
async fn what_is_missing_is_loaded_by_one_call() -> anyhow::Result<()> {
    let clock = clock();
    let disk = tempfile::tempdir()?;
    let sandbar = builder(&clock).disk(disk.path(), 16 << 20).build()?;
    let values = sandbar.values::<usize>(TENANT, "lengths")?.keeping(minute().absent_for(MINUTE));
    let calls = Calls::default();
    values.put("aa", 2).await?;
    values.put("bbb", 3).await?;
    sandbar.tenant(TENANT)?.clear_memory();
    values.get("aa").await?;
    let found = lengths(&values, &["aa", "bbb", "c", "c", "none", "dddd"], &calls).await;
    let expected = [("aa", 2), ("bbb", 3), ("c", 1), ("dddd", 4)];
    let expected: HashMap<_, _> =
        expected.into_iter().map(|(key, length)| (key.to_owned(), Arc::new(length))).collect();
    assert_eq!(found, expected);
    assert_eq!(*calls.lock(), [["c", "none", "dddd"]]);
    assert_eq!(lengths(&values, &["aa", "bbb", "c", "none", "dddd"], &calls).await, expected);
    assert_eq!(calls.lock().len(), 1, "all of it is there, that there is none too");
    let known = values.get_many(&["aa", "none", "e"]).await?;
    assert_eq!(known, [Lookup::Value(Arc::new(2)), Lookup::Absent, Lookup::Miss]);
    assert!(lengths(&values, &[], &calls).await.is_empty());
    let counted = counted(&sandbar);
    assert_eq!((counted.origin_requests, counted.requests), (1, counted.answered()), "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn stale_ones_are_given_and_loaded_anew_by_one_call() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).build()?;
    let values = sandbar.values::<usize>(TENANT, "lengths")?.keeping(minute().stale_while_revalidate(MINUTE));
    let calls = Calls::default();
    lengths(&values, &["a", "b"], &calls).await;
    clock.advance(MINUTE + MINUTE / 2);
    assert_eq!(lengths(&values, &["a", "b"], &calls).await.len(), 2);
    settled(sandbar.cache()).await;
    clock.advance(MINUTE / 2);
    assert_eq!(lengths(&values, &["a", "b"], &calls).await.len(), 2);
    assert_eq!(*calls.lock(), [["a", "b"], ["a", "b"]]);
    Ok(())
}

#[tokio::test]
async fn a_call_waits_for_what_others_are_loading() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<usize>(TENANT, "lengths")?;
    let (calls, gate) = (Calls::default(), Gate::closed());
    let single = {
        let (values, gate) = (values.clone(), gate.clone());
        tokio::spawn(async move {
            values
                .get_or_load("aa", async move || {
                    gate.passed().await;
                    Ok::<_, Infallible>(20)
                })
                .await
        })
    };
    eventually("one is loaded", async || gate.waiting() == 1).await;
    let opening = async {
        eventually("the others are loaded", async || !calls.lock().is_empty()).await;
        gate.open();
    };
    let (found, ()) = tokio::join!(lengths(&values, &["aa", "b"], &calls), opening);
    assert_eq!((*found["aa"], *found["b"]), (20, 1));
    assert_eq!(*calls.lock(), [["b"]]);
    assert_eq!(single.await?.expect("no error").as_deref(), Some(&20));
    Ok(())
}

#[tokio::test]
async fn an_error_or_a_panic_is_that_of_the_call_and_stores_nothing() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<usize>(TENANT, "lengths")?;
    let keys = || ["a".to_owned(), "b".to_owned()];
    let fails = async |_: Vec<String>| Err::<HashMap<String, usize>, _>("down");
    assert!(matches!(values.get_or_load_many(keys(), fails).await, Err(LoadError::Loader(error)) if *error == "down"));
    let panics = async |_: Vec<String>| -> Result<HashMap<String, usize>, Infallible> { panic!("no such thing") };
    assert!(matches!(values.get_or_load_many(keys(), panics).await, Err(LoadError::Panicked(_))));
    assert_eq!(values.get_many(&keys()).await?, [Lookup::Miss, Lookup::Miss]);
    assert_eq!(lengths(&values, &["a", "b"], &Calls::default()).await.len(), 2);
    Ok(())
}
