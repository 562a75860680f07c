//! Tenants that come, change and go in a program that embeds the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar::Sandbar;
use sandbar::body::{self, Body, BoxError};
use sandbar::clock::Timestamp;
use sandbar::consistency::Consistency;
use sandbar::embed::BuildError;
use sandbar::policy::freshness::{Fill, Freshness, Plan};
use sandbar::policy::{BindError, Binding, Role};
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::wait::{eventually, settled};
use tower::{Layer, ServiceExt, service_fn};

fn tenant(name: &str, hosts: &[&str]) -> TenantConfig {
    TenantConfig { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..TenantConfig::named(name) }
}

/// Asks for a page through a layer in front of a service that counts; false where the service was asked.
async fn is_hit(sandbar: &Sandbar, host: &str, asked: &Arc<AtomicUsize>) -> Result<bool, BoxError> {
    let before = asked.load(Ordering::SeqCst);
    let counted = Arc::clone(asked);
    let service = sandbar.layer().layer(service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full("page"))?) }
    }));
    let response = service.oneshot(Request::get(format!("http://{host}/")).body(body::empty())?).await?;
    assert_eq!(response.into_body().collect().await?.to_bytes(), "page");
    settled(sandbar.cache()).await;
    Ok(asked.load(Ordering::SeqCst) == before)
}

#[tokio::test]
async fn tenants_come_change_and_go() -> Result<(), BoxError> {
    let dir = tempfile::tempdir()?;
    let builder = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only();
    let sandbar = builder.disk(dir.path(), 64 << 20).build()?;
    let asked = Arc::default();
    sandbar.put_tenant(tenant("two", &["two.example"])).await?;
    for host in ["one.example", "two.example"] {
        assert!(!is_hit(&sandbar, host, &asked).await? && is_hit(&sandbar, host, &asked).await?, "{host}");
    }
    sandbar.put_tenant(tenant("two", &["two.example", "three.example"])).await?;
    assert!(is_hit(&sandbar, "two.example", &asked).await?, "it keeps what it has");
    assert!(!is_hit(&sandbar, "three.example", &asked).await? && is_hit(&sandbar, "three.example", &asked).await?);

    let two = Arc::downgrade(&sandbar.tenant("two")?);
    sandbar.remove_tenant("two").await?;
    eventually("nothing holds it any more", async || two.upgrade().is_none()).await;
    assert!(!is_hit(&sandbar, "two.example", &asked).await? && !is_hit(&sandbar, "two.example", &asked).await?);
    let gone = sandbar.remove_tenant("two").await.expect_err("gone").to_string();
    assert!(gone.contains("there are: one"), "{gone}");

    sandbar.put_tenant(tenant("two", &["two.example"])).await?;
    assert!(!is_hit(&sandbar, "two.example", &asked).await?, "L2 has the page of the one before");
    assert!(is_hit(&sandbar, "two.example", &asked).await?);
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() -> Result<(), BoxError> {
    let builder = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only();
    let sandbar = builder.memory_bytes(256 << 20).build()?;
    let choice = |text: &str| serde_json::from_str(text).expect("a choice");
    let large = TenantConfig { l1: "1GiB".parse()?, ..tenant("two", &["two.example"]) };
    let policy =
        |text| TenantConfig { policy: [(Role::Eviction, choice(text))].into(), ..tenant("one", &["new.example"]) };
    for (config, says) in [
        (tenant("two", &["one.example"]), "named twice"),
        (tenant("No", &["two.example"]), "can't be part of a key"),
        (large, "must be left for guests"),
        (policy(r#"{"stock":"nobodys","native":true}"#), "there is no stock eviction policy"),
        (policy(r#"{"stock":"lru"}"#), "runs no guests"),
    ] {
        let error: BuildError = sandbar.put_tenant(config).await.expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(sandbar.cache().tenants().all().len(), 1);
        assert!(sandbar.cache().tenant_at("new.example").is_none());
    }
    sandbar.put_tenant(policy(r#"{"stock":"lru","native":true}"#)).await?;
    assert_eq!(sandbar.tenant("one")?.memory_stats().policy, "lru");
    Ok(())
}

#[tokio::test]
async fn a_write_that_began_under_other_key_rules_invalidates_what_its_target_is_called_by_now() -> Result<(), BoxError>
{
    let sandbar = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only().build()?;
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let (counted, held) = (Arc::clone(&asked), Arc::clone(&gate));
    let service = sandbar.layer().layer(service_fn(move |request: Request<Body>| {
        let (number, held) = (counted.fetch_add(1, Ordering::SeqCst), Arc::clone(&held));
        async move {
            if request.method() == http::Method::POST {
                held.notified().await;
            }
            let page = body::full(format!("{number}"));
            Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(page)?)
        }
    }));
    let ask = async |method: &str| {
        let request = Request::builder().method(method).uri("http://one.example/a?x=1").body(body::empty())?;
        let answer = service.clone().oneshot(request).await?.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(String::from_utf8_lossy(&answer).into_owned())
    };
    let mut write = Box::pin(ask("POST"));
    assert!(futures_util::poll!(&mut write).is_pending(), "the origin has it");
    eventually("the origin has it", async || asked.load(Ordering::SeqCst) == 1).await;
    let mut config = tenant("one", &["one.example"]);
    config.key.ignore_params = vec!["x".to_owned()];
    sandbar.put_tenant(config).await?;
    settled_but(&sandbar, 1).await;
    let before = ask("GET").await?;
    settled_but(&sandbar, 1).await;
    assert_eq!(ask("GET").await?, before, "it is stored under the new rules");
    gate.notify_one();
    write.await?;
    assert_ne!(ask("GET").await?, before, "the origin has taken a write since");
    Ok(())
}

/// Waits until no more than so many tasks are under way.
async fn settled_but(sandbar: &Sandbar, tasks: usize) {
    eventually("little is under way", async || sandbar.cache().under_way() <= tasks).await;
}

#[tokio::test]
async fn who_still_holds_a_tenant_of_before_can_bind_nothing_to_it() -> Result<(), BoxError> {
    let sandbar = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only().build()?;
    let before = sandbar.tenant("one")?;
    sandbar.bind("one", Binding::stock(Role::Eviction, "2q").native()).await?;
    let more = TenantConfig { show_key: true, ..tenant("one", &["one.example"]) };
    sandbar.put_tenant(more).await?;
    assert_eq!(sandbar.tenant("one")?.memory_stats().policy, "2q", "what is bound stays");
    let refused = before.bind(Binding::stock(Role::Eviction, "lru").native()).await;
    assert!(matches!(refused, Err(BindError::Changing)), "{refused:?}");
    sandbar.bind("one", Binding::stock(Role::Eviction, "lru").native()).await?;
    assert_eq!(sandbar.tenant("one")?.memory_stats().policy, "lru");
    Ok(())
}

/// Leaves every plan as it is.
struct Standard;

impl Freshness for Standard {
    fn amend(&self, _now: Timestamp, _fill: &Fill<'_>, standard: &Plan) -> Plan {
        standard.clone()
    }
}

#[tokio::test]
async fn a_policy_that_is_configured_as_before_goes_on_with_all_that_is_counted_of_it() -> Result<(), BoxError> {
    let builder = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only();
    let sandbar = builder.policy("one", Binding::freshness("mine", Standard)).build()?;
    assert!(!is_hit(&sandbar, "one.example", &Arc::default()).await?);
    let bound = || sandbar.tenant("one").map(|tenant| tenant.report().policies);
    let before = bound()?;
    assert!(before.iter().any(|policy| &*policy.name == "mine" && policy.calls == 1), "{before:?}");
    sandbar.put_tenant(TenantConfig { show_key: true, ..tenant("one", &["one.example"]) }).await?;
    assert_eq!(bound()?, before);
    Ok(())
}

/// What was fetched under a weaker promise is not served under a stronger one.
#[tokio::test]
async fn another_consistency_does_not_trust_what_is_in_memory() -> Result<(), BoxError> {
    let sandbar = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only().build()?;
    let asked = Arc::default();
    assert!(!is_hit(&sandbar, "one.example", &asked).await? && is_hit(&sandbar, "one.example", &asked).await?);
    let strict = TenantConfig { consistency: Consistency::Bus, ..tenant("one", &["one.example"]) };
    sandbar.put_tenant(strict).await?;
    assert!(!is_hit(&sandbar, "one.example", &asked).await? && is_hit(&sandbar, "one.example", &asked).await?);
    Ok(())
}

#[tokio::test]
async fn a_thousand_tenants_come_and_go() -> Result<(), BoxError> {
    let sandbar = Sandbar::builder().tenant(tenant("one", &["one.example"])).native_only().build()?;
    let asked = Arc::default();
    let hosts = |n: usize| format!("t{n}.example");
    for n in 0..1_000 {
        sandbar.put_tenant(tenant(&format!("t{n}"), &[&hosts(n)])).await?;
    }
    for n in (0..1_000).step_by(97) {
        assert!(!is_hit(&sandbar, &hosts(n), &asked).await? && is_hit(&sandbar, &hosts(n), &asked).await?);
    }
    for n in 0..1_000 {
        sandbar.remove_tenant(&format!("t{n}")).await?;
    }
    assert_eq!(sandbar.cache().tenants().all().len(), 1);
    assert!(is_hit(&sandbar, "one.example", &asked).await? || is_hit(&sandbar, "one.example", &asked).await?);
    Ok(())
}
