//! Tenants without a share of L1 (`l1 = "0"`): they live on what the shares of the others leave, and none of them can take it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar::Sandbar;
use sandbar::body::{self, Body, BoxError};
use sandbar::cache::CacheLimits;
use sandbar::commons::CommonsStats;
use sandbar::policy::{Binding, Role};
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::wait::settled;
use tower::{Layer, ServiceExt, service_fn};

const KIB: u64 = 1 << 10;

fn sharing(name: &str, l1: &str) -> TenantConfig {
    let l1 = l1.parse().expect("a size");
    TenantConfig { hosts: vec![format!("{name}.example")], l1, ..TenantConfig::named(name) }
}

/// A cache whose L1 has so many KiB, with one tenant `first` that has a share of 64 of them.
fn cache(l1_kib: u64) -> Sandbar {
    let limits = CacheLimits { l1_bytes: Some(l1_kib * KIB), learned_keys: 16, ..CacheLimits::default() };
    Sandbar::builder().tenant(sharing("first", "64KiB")).native_only().limits(limits).build().expect("a cache")
}

struct Scene {
    sandbar: Sandbar,
    asked: Arc<AtomicUsize>,
}

impl Scene {
    fn new(sandbar: Sandbar) -> Self {
        Self { sandbar, asked: Arc::default() }
    }

    async fn add(&self, name: &str) {
        self.sandbar.put_tenant(sharing(name, "0")).await.expect("a tenant");
    }

    /// Asks a tenant for a page of so many KiB that names it; whether that was a hit.
    async fn is_hit(&self, tenant: &str, page: usize, kib: usize) -> bool {
        let (before, counted) = (self.asked.load(Ordering::SeqCst), Arc::clone(&self.asked));
        let service = self.sandbar.layer().layer(service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let text = request.uri().to_string().repeat(kib * 1024 / request.uri().to_string().len());
            async {
                Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full(text))?)
            }
        }));
        let url = format!("http://{tenant}.example/{page}");
        let request = Request::get(&url).body(body::empty()).expect("a request");
        let response = service.oneshot(request).await.expect("an answer");
        let text = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(text.starts_with(url.as_bytes()), "{url} was given another page");
        settled(self.sandbar.cache()).await;
        self.asked.load(Ordering::SeqCst) == before
    }

    /// Asks a tenant for pages, each once.
    async fn fill(&self, tenant: &str, pages: std::ops::Range<usize>, kib: usize) {
        for page in pages {
            self.is_hit(tenant, page, kib).await;
        }
    }

    fn capacity_kib(&self, tenant: &str) -> u64 {
        let memory = self.sandbar.tenant(tenant).expect("the tenant").memory_stats();
        assert!(memory.resident_bytes <= memory.capacity_bytes + memory.slack_bytes, "{tenant}: {memory:?}");
        memory.capacity_bytes / KIB
    }

    fn commons(&self) -> CommonsStats {
        self.sandbar.cache().commons_stats()
    }
}

#[tokio::test]
async fn one_without_a_share_stores_in_what_the_others_leave() {
    let scene = Scene::new(cache(1024 + 64));
    scene.add("small").await;
    assert_eq!((scene.capacity_kib("small"), scene.commons().total_bytes), (0, 1024 * KIB));
    assert!(!scene.is_hit("small", 1, 4).await && scene.is_hit("small", 1, 4).await);
    assert_eq!(scene.capacity_kib("small"), 64);
    scene.fill("small", 2..40, 4).await;
    assert_eq!(scene.capacity_kib("small"), 256);
    for page in 1..40 {
        assert!(scene.is_hit("small", page, 4).await, "{page}");
    }
    scene.fill("small", 40..1000, 4).await;
    assert_eq!(scene.capacity_kib("small"), 1024, "all that is left, and not more");
    assert_eq!(scene.capacity_kib("first"), 64);
}

#[tokio::test]
async fn nobody_can_take_it_all() {
    let scene = Scene::new(cache(1024 + 64));
    for name in ["greedy", "small", "late"] {
        scene.add(name).await;
    }
    scene.fill("greedy", 0..500, 4).await;
    assert_eq!(scene.capacity_kib("greedy"), 1024);
    // Room is made behind the first answer.
    scene.fill("small", 0..2, 4).await;
    scene.fill("small", 0..100, 4).await;
    assert_eq!((scene.capacity_kib("greedy"), scene.capacity_kib("small")), (512, 512));
    scene.fill("greedy", 0..500, 4).await;
    scene.fill("late", 0..40, 4).await;
    scene.fill("greedy", 0..500, 4).await;
    let each = ["greedy", "small", "late"].map(|name| scene.capacity_kib(name));
    assert!(each.iter().sum::<u64>() <= 1024 && each[2] >= 256, "{each:?}");
    for page in 0..40 {
        assert!(scene.is_hit("late", page, 4).await, "{page}");
    }
}

#[tokio::test]
async fn what_was_asked_least_lately_gives_way_where_each_has_little() {
    let scene = Scene::new(cache(1024 + 64));
    for number in 0..20 {
        scene.add(&format!("t{number}")).await;
        scene.fill(&format!("t{number}"), 0..2, 4).await;
    }
    let stats = scene.commons();
    assert_eq!((stats.given_bytes, stats.holders, stats.tenants), (1024 * KIB, 16, 20));
    assert_eq!((scene.capacity_kib("t0"), scene.capacity_kib("t19")), (0, 64));
    assert!(scene.is_hit("t19", 1, 4).await && !scene.is_hit("t0", 0, 4).await);
}

#[tokio::test]
async fn who_goes_gives_all_of_it_back() {
    let scene = Scene::new(cache(1024 + 64));
    scene.add("small").await;
    scene.fill("small", 0..100, 4).await;
    assert_eq!(scene.commons().given_bytes, 512 * KIB);
    let held = scene.sandbar.tenant("small").unwrap();
    scene.sandbar.remove_tenant("small").await.unwrap();
    let stats = scene.commons();
    assert_eq!((stats.given_bytes, stats.tenants, stats.holders), (0, 0, 0));
    assert_eq!((held.memory_stats().entries, held.memory_stats().capacity_bytes), (0, 0));
    scene.add("small").await;
    assert!(!scene.is_hit("small", 0, 4).await && scene.is_hit("small", 0, 4).await);
    assert_eq!((scene.commons().given_bytes, held.memory_stats().entries), (64 * KIB, 0));
}

#[tokio::test]
async fn a_share_comes_and_goes_and_what_is_stored_stays() {
    let scene = Scene::new(cache(2048 + 64));
    scene.add("shop").await;
    scene.fill("shop", 0..50, 4).await;
    scene.sandbar.put_tenant(sharing("shop", "512KiB")).await.unwrap();
    let stats = scene.commons();
    assert_eq!((scene.capacity_kib("shop"), stats.tenants, stats.given_bytes), (512, 0, 0));
    assert_eq!(stats.total_bytes, 1536 * KIB);
    assert!(scene.is_hit("shop", 0, 4).await && scene.is_hit("shop", 49, 4).await);
    scene.add("shop").await;
    assert_eq!((scene.capacity_kib("shop"), scene.commons().tenants), (256, 1));
    assert!(scene.is_hit("shop", 0, 4).await && scene.is_hit("shop", 49, 4).await);
}

#[tokio::test]
async fn a_share_that_comes_is_taken_from_the_rest() {
    let scene = Scene::new(cache(2048 + 64));
    scene.add("small").await;
    scene.fill("small", 0..500, 4).await;
    assert_eq!(scene.capacity_kib("small"), 2048);
    scene.sandbar.put_tenant(sharing("large", "1MiB")).await.unwrap();
    assert_eq!((scene.capacity_kib("small"), scene.capacity_kib("large")), (1024, 1024));
    scene.sandbar.cache().bound_l1(1024 * KIB + 64 * KIB + 128 * KIB);
    assert_eq!((scene.capacity_kib("small"), scene.commons().total_bytes), (128, 128 * KIB));
}

#[tokio::test]
async fn its_own_policy_evicts() {
    let scene = Scene::new(cache(1024 + 64));
    scene.add("small").await;
    scene.fill("small", 0..10, 4).await;
    scene.sandbar.bind("small", Binding::stock(Role::Eviction, "lru").native()).await.unwrap();
    assert!(scene.is_hit("small", 0, 4).await, "it stays warm");
    scene.fill("small", 10..600, 4).await;
    let stats = scene.sandbar.tenant("small").unwrap().memory_stats();
    assert!(stats.policy == "lru" && stats.evicted_by_policy > 0 && stats.faults == 0, "{stats:?}");
    assert!(scene.is_hit("small", 599, 4).await);
}

#[tokio::test]
async fn every_native_policy_can_lose_all_it_has_and_come_again() {
    for policy in sandbar_policies::eviction::NATIVE.iter().map(|native| native.name) {
        let scene = Scene::new(cache(1024 + 64));
        for name in ["small", "large"] {
            scene.add(name).await;
            scene.sandbar.bind(name, Binding::stock(Role::Eviction, policy).native()).await.unwrap();
            scene.fill(name, 0..40, 4).await;
        }
        scene.sandbar.cache().bound_l1(0);
        assert_eq!((scene.capacity_kib("small"), scene.capacity_kib("large")), (0, 0), "{policy}");
        assert!(!scene.is_hit("small", 0, 4).await && !scene.is_hit("small", 0, 4).await, "{policy}");
        scene.sandbar.cache().bound_l1(2048 * KIB);
        assert!(!scene.is_hit("small", 0, 4).await && scene.is_hit("small", 0, 4).await, "{policy}");
        let stats = scene.sandbar.tenant("small").unwrap().memory_stats();
        assert_eq!(stats.faults, 0, "{policy}");
    }
}

#[tokio::test]
async fn what_can_not_be_is_refused() {
    let scene = Scene::new(cache(1024 + 64));
    let tiny = scene.sandbar.put_tenant(sharing("tiny", "1KiB")).await.unwrap_err().to_string();
    assert!(tiny.contains("tenant \"tiny\": l1 = \"1KiB\"") && tiny.contains("64KiB or more"), "{tiny}");
    let body = TenantConfig { body_max: Some("17MiB".parse().unwrap()), ..sharing("large", "0") };
    let body = scene.sandbar.put_tenant(body).await.unwrap_err().to_string();
    assert!(body.contains("body_max = \"17MiB\"") && body.contains("16MiB or less"), "{body}");
    let full = Sandbar::builder().memory_bytes(64 << 20).native_only().tenant(sharing("all", "56MiB"));
    let full = full.build().unwrap();
    let none_left = full.put_tenant(sharing("small", "0")).await.unwrap_err().to_string();
    assert!(none_left.contains("an eighth must be left"), "{none_left}");
}
