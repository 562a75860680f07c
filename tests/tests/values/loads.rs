//! Loads: one for all who want a key, errors for all of them, and what a purge makes of one that is under way.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sandbar::body::BoxError;
use sandbar::tenant::config::TenantConfig;
use sandbar::values::{LoadError, Lookup, Values};
use sandbar::{Sandbar, barrier::Purge};
use sandbar_tests::origin::Gate;
use sandbar_tests::wait::{eventually, in_time};
use tokio::task::JoinHandle;

use super::{MINUTE, TENANT, Text, builder, clock, counted, minute, settled};

type Numbers = Values<usize>;
type Asked = JoinHandle<Result<Option<Arc<usize>>, LoadError<Infallible>>>;

/// A database whose answers are numbered, and wait until the gate is open.
#[derive(Clone)]
struct Database {
    gate: Gate,
    calls: Arc<AtomicUsize>,
}

impl Database {
    fn new() -> Self {
        let database = Self { gate: Gate::closed(), calls: Arc::default() };
        database.gate.open();
        database
    }

    fn held() -> Self {
        Self { gate: Gate::closed(), calls: Arc::default() }
    }

    async fn read(self) -> Result<usize, Infallible> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.passed().await;
        Ok(number)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn asked_by(&self, values: &Numbers) -> Asked {
        let (values, database) = (values.clone(), self.clone());
        tokio::spawn(async move { values.get_or_load("key", || database.read()).await })
    }

    /// Callers that wait for one load together.
    async fn asked_by_many(&self, sandbar: &Sandbar, values: &Numbers, callers: usize) -> Vec<Asked> {
        let misses = counted(sandbar).misses_l1 + callers as u64;
        let asked = (0..callers).map(|_| self.asked_by(values)).collect();
        eventually("they wait", async || counted(sandbar).misses_l1 == misses && self.gate.waiting() > 0).await;
        asked
    }
}

fn numbers(sandbar: &Sandbar) -> Numbers {
    sandbar.values(TENANT, "numbers").expect("a name").keeping(minute().surrogate_key("all"))
}

async fn got(asked: Asked) -> Arc<usize> {
    in_time("an answer", asked).await.expect("no panic").expect("a value").expect("there is one")
}

#[tokio::test]
async fn callers_at_once_make_one_load_and_share_one_value() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let (values, database) = (numbers(&sandbar), Database::held());
    let mut asked = database.asked_by_many(&sandbar, &values, 10).await;
    // The first caller's leaving ends nothing.
    asked.remove(0).abort();
    // Another handle of the same name is as good as this one.
    let other = database.asked_by_many(&sandbar, &numbers(&sandbar), 1).await;
    database.gate.open();
    let mut answers = Vec::new();
    for asked in asked.into_iter().chain(other) {
        answers.push(got(asked).await);
    }
    assert_eq!(database.calls(), 1);
    let first = &answers[0];
    assert!(answers.iter().all(|answer| Arc::ptr_eq(answer, first)));
    for _ in 0..2 {
        let hit = values.get("key").await?.into_value().expect("it is stored");
        assert!(Arc::ptr_eq(&hit, first));
    }
    let counted = counted(&sandbar);
    assert_eq!((counted.origin_requests, counted.stored, counted.hits_l1), (1, 1, 2), "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn all_callers_leave_and_the_value_is_stored() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let (values, database) = (numbers(&sandbar), Database::held());
    for asked in database.asked_by_many(&sandbar, &values, 3).await {
        asked.abort();
    }
    database.gate.open();
    settled(sandbar.cache()).await;
    assert!(values.get("key").await?.into_value().is_some());
    assert_eq!(database.calls(), 1);
    Ok(())
}

#[tokio::test]
async fn an_error_is_given_to_all_who_waited_and_not_stored() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = numbers(&sandbar);
    let gate = Gate::closed();
    let fail = || {
        let gate = gate.clone();
        values.get_or_load("key", async move || {
            gate.passed().await;
            Err::<usize, BoxError>("no such table".into())
        })
    };
    let other_type = values.get_or_load("key", async || Ok::<_, Infallible>(1));
    let opening = async {
        eventually("it is loaded", async || gate.waiting() > 0).await;
        gate.open();
    };
    let (failed, other, ()) = tokio::join!(join_all((0..3).map(|_| fail())), other_type, opening);
    let errors: Vec<_> = failed
        .into_iter()
        .map(|failed| match failed {
            Err(LoadError::Loader(error)) => error,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0]) && error.to_string() == "no such table"));
    assert!(matches!(&other, Err(LoadError::OtherLoader(text)) if &**text == "no such table"), "{other:?}");
    assert_eq!(values.get("key").await?, Lookup::Miss);
    let again = values.get_or_load("key", async || Ok::<_, Infallible>(7)).await?;
    assert_eq!(again.as_deref(), Some(&7));
    Ok(())
}

#[tokio::test]
async fn a_loader_that_panics_fails_those_who_waited_and_no_key_is_stuck() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values_in::<String, _>(TENANT, "texts", Text::default())?.keeping(minute());
    let panics = || values.get_or_load("key", async || -> Result<String, Infallible> { panic!("no such thing") });
    let (one, other) = tokio::join!(panics(), panics());
    for failed in [one, other] {
        assert!(matches!(&failed, Err(LoadError::Panicked(text)) if &**text == "no such thing"), "{failed:?}");
    }
    // What can't be encoded is for those who waited, and not stored.
    for text in ["no bytes", "panic"] {
        let given = values.get_or_load("key", move || async move { Ok::<_, Infallible>(text.to_owned()) }).await?;
        assert_eq!(given.as_deref().map(String::as_str), Some(text));
        assert_eq!(values.get("key").await?, Lookup::Miss);
        assert!(values.put("key", text.to_owned()).await.is_err());
    }
    let fine = values.get_or_load("key", async || Ok::<_, Infallible>("fine".to_owned())).await?;
    assert_eq!(fine.as_deref().map(String::as_str), Some("fine"));
    Ok(())
}

#[tokio::test]
async fn a_loader_that_hangs_is_given_up() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).build()?;
    let (values, database) = (numbers(&sandbar), Database::held());
    let asked = database.asked_by_many(&sandbar, &values, 1).await.remove(0);
    let stop = async {
        loop {
            clock.advance(MINUTE);
            tokio::task::yield_now().await;
        }
    };
    let given = in_time("it is given up", async {
        tokio::select! {
            given = asked => given,
            () = stop => unreachable!("it goes on for ever"),
        }
    });
    let given = given.await?;
    assert!(matches!(given, Err(LoadError::NotLoaded(_) | LoadError::Overdue(_))), "{given:?}");
    settled(sandbar.cache()).await;
    database.gate.open();
    assert_eq!(*got(database.asked_by(&values)).await, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_purged_while_it_is_loaded_is_for_those_who_asked_before() -> anyhow::Result<()> {
    for purge in [Purge::surrogate_key("all"), Purge::everything()] {
        let sandbar = builder(&clock()).build()?;
        let (values, database) = (numbers(&sandbar), Database::held());
        let before = database.asked_by_many(&sandbar, &values, 3).await;
        sandbar.purge(TENANT, &[purge]).await?;
        let after = database.asked_by_many(&sandbar, &values, 3).await;
        database.gate.open();
        for asked in before {
            assert_eq!(*got(asked).await, 0);
        }
        for asked in after {
            assert_eq!(*got(asked).await, 1);
        }
        settled(sandbar.cache()).await;
        assert_eq!(values.get("key").await?.into_value().as_deref(), Some(&1));
        assert_eq!(database.calls(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn that_there_is_none_is_remembered_for_as_long_as_the_program_says() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).build()?;
    let values = numbers(&sandbar).keeping(minute().absent_for(Duration::from_secs(10)));
    let loads = Arc::new(AtomicUsize::new(0));
    let ask = |values: &Numbers, key: &'static str| {
        let (values, loads) = (values.clone(), Arc::clone(&loads));
        async move {
            values
                .get_or_load(key, move || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    async { Ok::<Option<usize>, Infallible>(None) }
                })
                .await
        }
    };
    assert!(ask(&values, "key").await?.is_none() && ask(&values, "key").await?.is_none());
    assert_eq!((values.get("key").await?, loads.load(Ordering::SeqCst)), (Lookup::Absent, 1));
    clock.advance(Duration::from_secs(11));
    assert_eq!(values.get("key").await?, Lookup::Miss);
    ask(&values, "key").await?;
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    // By default nothing is remembered.
    let forgetful = numbers(&sandbar);
    ask(&forgetful, "other").await?;
    assert_eq!(forgetful.get("other").await?, Lookup::Miss);
    Ok(())
}

#[tokio::test]
async fn a_stale_value_is_given_while_it_is_loaded_anew_or_where_that_fails() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).build()?;
    let keep = minute().stale_while_revalidate(MINUTE).stale_if_error(10 * MINUTE);
    let (values, database) = (numbers(&sandbar).keeping(keep), Database::new());
    assert_eq!(*got(database.asked_by(&values)).await, 0);
    clock.advance(MINUTE + Duration::from_secs(30));
    assert_eq!(*got(database.asked_by(&values)).await, 0, "as it is");
    settled(sandbar.cache()).await;
    assert_eq!(*got(database.asked_by(&values)).await, 1, "loaded behind the answer");
    clock.advance(5 * MINUTE);
    let fail = || values.get_or_load("key", async || Err::<usize, _>("down"));
    assert_eq!(fail().await.expect("stale").as_deref(), Some(&1));
    clock.advance(10 * MINUTE);
    assert!(matches!(fail().await, Err(LoadError::Loader(_))));
    values.expire("key").await?;
    let counted = counted(&sandbar);
    assert_eq!((counted.hits_stale, counted.stale_if_error, counted.origin_refreshes), (1, 1, 1), "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn a_loader_that_fails_always_is_left_alone_for_its_own_name_only() -> anyhow::Result<()> {
    let clock = clock();
    let sandbar = builder(&clock).build()?;
    let (values, others) = (numbers(&sandbar), sandbar.values::<usize>(TENANT, "others")?);
    let calls = Arc::new(AtomicUsize::new(0));
    let mut refused = 0;
    for _ in 0..100 {
        let calls = Arc::clone(&calls);
        let load = move || {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Err::<usize, _>("down") }
        };
        refused += usize::from(matches!(values.get_or_load("key", load).await, Err(LoadError::NotLoaded(_))));
    }
    let calls = calls.load(Ordering::SeqCst);
    assert!(refused > 0 && calls < 100 && calls + refused == 100, "{refused} refused, {calls} calls");
    assert!(others.get_or_load("key", async || Ok::<_, Infallible>(1)).await?.is_some());
    let loads = &sandbar.stats().tenants[0].loads;
    assert_eq!((loads["numbers"].breaker, loads["others"].breaker), ("open", "closed"));
    assert_eq!(values.explain("key").await?.next.breaker, "open");
    Ok(())
}

#[tokio::test]
async fn only_so_many_loads_are_under_way() -> anyhow::Result<()> {
    let clock = clock();
    let mut tenant = TenantConfig::named(TENANT);
    tenant.protect.requests_max = sandbar::setting::Count::of(2);
    let sandbar = Sandbar::builder().tenant(tenant).native_only().clock(clock as _).build()?;
    let (values, gate) = (numbers(&sandbar), Gate::closed());
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let ask = |key: usize| {
        let (values, gate, running, most) = (values.clone(), gate.clone(), Arc::clone(&running), Arc::clone(&most));
        async move {
            let load = async move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.passed().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(key)
            };
            values.get_or_load(key.to_string(), load).await
        }
    };
    let opening = async {
        eventually("two are loaded", async || gate.waiting() == 2).await;
        gate.open();
    };
    let (given, ()) = tokio::join!(join_all((0..10).map(ask)), opening);
    assert!(given.into_iter().all(|given| given.is_ok_and(|value| value.is_some())));
    assert_eq!(most.load(Ordering::SeqCst), 2);
    Ok(())
}
