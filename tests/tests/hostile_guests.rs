//! Guests that loop, trap, hoard, lie or are no guests at all: every request gets the built-in answer, faults are
//! counted, a policy that fails too often is quarantined and tried again, and nobody else notices.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use sandbar::clock::{Clock, ManualClock, Timestamp};
use sandbar::http::entry::Directives;
use sandbar::http::key::KeyHash;
use sandbar::http::key::KeyRules;
use sandbar::memory::eviction::EvictionPolicy;
use sandbar::memory::{Facts, Memory, MemoryConfig};
use sandbar::policy::freshness::{EarlyRefresh, Fill, LifetimeSource, Plan, Planned, Standard};
use sandbar::policy::invalidation::{Event as Told, NoAnswer, Written};
use sandbar::policy::{
    BindError, Binding, BindingState, BoundBy, BoundInfo, Engine, EngineConfig, Fault, FaultKind, Role, TenantPolicies,
    check, try_component,
};
use sandbar_gateway::replay::{PolicyChoice, Replay, Trace, Unit};
use sandbar_guest::eviction::{Arrival, Event, pack};
use sandbar_tests::guests::{self, HOARD, HOARD_SECOND, LOOP, REFUSE, SECOND_MEMORY, ZERO};

/// Bytes of memory that the guests here may have.
const MEMORY_BYTES: u64 = 2 << 20;

fn engine() -> Arc<Engine> {
    let config = EngineConfig {
        instances_max: 16,
        memory_bytes: MEMORY_BYTES,
        eviction_memory_bytes_max: MEMORY_BYTES,
        ..EngineConfig::default()
    };
    Engine::new(&config).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)))
}

fn tenant(engine: &Arc<Engine>, name: &str, bindings: &[Binding], clock: &Arc<ManualClock>) -> TenantPolicies {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    TenantPolicies::open(Arc::clone(engine), name, bindings, Default::default(), None, clock).unwrap()
}

fn info(policies: &TenantPolicies, role: Role) -> BoundInfo {
    policies.list().into_iter().find(|info| info.role == role).unwrap()
}

fn standard() -> Standard {
    Standard {
        plan: Plan { l1: true, l2: true, freshness_lifetime_ms: 60_000, ..Plan::default() },
        directives: Directives::default(),
        initial_age: Duration::ZERO,
        lifetime: LifetimeSource::Explicit,
        obstacles: Vec::new(),
    }
}

fn plan(policies: &TenantPolicies) -> Planned {
    let fields = HeaderMap::new();
    let fill = Fill {
        method: &Method::GET,
        site: "https://shop.example",
        target: "/a",
        class: "",
        request: &fields,
        status: StatusCode::OK,
        response: &fields,
        body_bytes: Some(100),
        fetch_time: Duration::from_millis(80),
    };
    policies.plan(&fill, &standard())
}

fn native_plan() -> Planned {
    Planned { plan: standard().plan, policy: None }
}

/// The body of a `plan` that stores in both tiers for a second, with surrogate keys as this text sets them: at 2048 lies
/// the plan, its list of keys at 2104.
fn plan_with(keys: &str) -> String {
    format!(
        "(i32.store8 (i32.const 2048) (i32.const 3)) (i64.store (i32.const 2056) (i64.const 1000)) {keys} (i32.const 2048)"
    )
}

/// The bodies of `plan` that fail, and how.
fn failing_plans() -> Vec<(&'static str, String)> {
    let ten_megabytes = "(local $at i32) (local.set $at (i32.const 4096))
        (loop $more
          (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 65536))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $more (i32.lt_u (local.get $at) (i32.const 5376))))";
    let many = "(i32.store (i32.const 2104) (i32.const 4096)) (i32.store (i32.const 2108) (i32.const 160))";
    vec![
        ("loops", LOOP.to_owned()),
        ("traps", "unreachable".to_owned()),
        ("hoards", HOARD.to_owned()),
        ("overflows the stack", "(return (call 2 (local.get $arguments)))".to_owned()),
        ("answers beyond its memory", "(i32.const 0x7ffffff8)".to_owned()),
        ("answers with an unaligned pointer", "(i32.const 2049)".to_owned()),
        ("answers with a case that there is not", plan_with("(i32.store8 (i32.const 2080) (i32.const 9))")),
        (
            "answers with what is not text",
            plan_with(
                "(i32.store8 (i32.const 4096) (i32.const 0xff)) (i32.store (i32.const 2104) (i32.const 4104)) (i32.store (i32.const 2108) (i32.const 1)) (i32.store (i32.const 4104) (i32.const 4096)) (i32.store (i32.const 4108) (i32.const 1))",
            ),
        ),
        ("answers with 10 MB of text", format!("{ten_megabytes} {}", plan_with(many))),
    ]
}

#[test]
fn a_plan_that_fails_is_answered_by_the_standard_one_and_counted() {
    let engine = engine();
    for (what, body) in failing_plans() {
        let guest = Binding::component(Role::Freshness, guests::freshness(ZERO, &body));
        let policies = tenant(&engine, what, &[guest], &clock());
        for faults in 1..=2 {
            assert_eq!(plan(&policies), native_plan(), "{what}");
            assert_eq!(info(&policies, Role::Freshness).faults, faults, "{what}");
        }
    }
    assert_eq!(engine.instances(), 0, "instances that failed are dropped");
}

#[test]
fn a_plan_that_is_wider_than_allowed_is_clamped_and_counted() {
    let wide = plan_with("(i64.store (i32.const 2056) (i64.const 90000)) (i64.store (i32.const 2072) (i64.const -1))");
    let guest = Binding::component(Role::Freshness, guests::freshness(ZERO, &wide));
    let policies = tenant(&engine(), "shop", &[guest], &clock());
    let planned = plan(&policies);
    assert_eq!((planned.plan.freshness_lifetime_ms, planned.plan.stale_if_error_ms), (60_000, 0));
    assert_eq!(planned.policy, policies.digest(Role::Freshness));
    let info = info(&policies, Role::Freshness);
    assert_eq!((info.clamped, info.faults), (2, 0));
}

#[test]
fn three_faults_in_ten_seconds_quarantine_a_policy_which_is_tried_again_later() {
    let clock = clock();
    // It traps for responses of 100 bytes: `body-bytes` is an option at offset 48 of the arguments.
    let moody = guests::freshness(
        ZERO,
        &format!(
            "(if (i64.eq (i64.load offset=64 (local.get $arguments)) (i64.const 100)) (then unreachable)) {}",
            plan_with("")
        ),
    );
    let policies = tenant(&engine(), "shop", &[Binding::component(Role::Freshness, moody)], &clock);
    for _ in 0..9 {
        assert_eq!(plan(&policies), native_plan());
    }
    let quarantined = info(&policies, Role::Freshness);
    assert_eq!((quarantined.calls, quarantined.faults), (3, 3), "it is not asked in quarantine");
    assert_eq!(quarantined.state, BindingState::Quarantined { until: Timestamp::from_millis(1_010_000) });

    clock.advance(Duration::from_secs(10));
    assert_eq!(plan(&policies), native_plan());
    let again = info(&policies, Role::Freshness);
    assert_eq!((again.calls, again.state), (4, BindingState::Quarantined { until: Timestamp::from_millis(1_030_000) }));

    clock.advance(Duration::from_secs(20));
    assert_eq!(info(&policies, Role::Freshness).state, BindingState::Active);
    let fields = HeaderMap::new();
    let (method, site) = (Method::GET, "https://shop.example");
    let fill = Fill {
        method: &method,
        site,
        target: "/a",
        class: "",
        request: &fields,
        status: StatusCode::OK,
        response: &fields,
        body_bytes: Some(7),
        fetch_time: Duration::ZERO,
    };
    let planned = policies.plan(&fill, &standard());
    assert_eq!((planned.plan.freshness_lifetime_ms, planned.policy), (1_000, policies.digest(Role::Freshness)));
}

#[test]
fn a_write_is_never_failed_by_its_policy() {
    let engine = engine();
    let fields = HeaderMap::new();
    let written = Written {
        method: &Method::PUT,
        site: "https://shop.example",
        target: "/a",
        key: &KeyRules::default(),
        status: StatusCode::OK,
        request: &fields,
        response: &fields,
    };
    for body in [LOOP, HOARD, "unreachable", "(i32.const -8)"] {
        let guest = Binding::component(Role::Invalidation, guests::invalidation(ZERO, body));
        let policies = tenant(&engine, "shop", &[guest], &clock());
        assert_eq!(policies.purges(&written), []);
        assert_eq!(info(&policies, Role::Invalidation).faults, 1, "{body}");
        let event = Told { topic: "changed", payload: b"{}", key: &KeyRules::default() };
        assert_eq!(policies.event_purges(&event), Err(NoAnswer::Failed), "nobody knows what it makes invalid: {body}");
        assert_eq!(info(&policies, Role::Invalidation).faults, 2, "{body}");
    }
}

/// What comes of handing an eviction guest one arrival.
fn advance(engine: &Arc<Engine>, body: &str) -> Result<Vec<u32>, Fault> {
    let guest = Binding::component(Role::Eviction, guests::eviction(ZERO, body));
    let policies = tenant(engine, "shop", &[guest], &clock());
    let mut shard: Box<dyn EvictionPolicy> = policies.eviction().make(1_000, 1).unwrap();
    let (mut events, mut victims) = (Vec::new(), Vec::new());
    pack(Event::Arrived(Arrival { slot: 7, weight_bytes: 10, ..Arrival::default() }), &mut events);
    shard.advance(0, &events, 0, &mut victims).map(|()| victims)
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let engine = engine();
    assert_eq!(advance(&engine, ZERO), Ok(vec![]));
    let kind = |body: &str| advance(&engine, body).unwrap_err().kind;
    assert_eq!(kind(LOOP), FaultKind::Deadline { budget_us: 2_000 });
    assert_eq!(kind(HOARD), FaultKind::Memory { limit_bytes: MEMORY_BYTES });
    assert!(matches!(kind("unreachable"), FaultKind::Trap { trap } if trap.contains("unreachable")));
    let divided = kind("(i32.div_u (i32.const 1) (i32.const 0))");
    assert!(matches!(divided, FaultKind::Trap { trap } if trap.contains("divide by zero")));
    assert!(matches!(kind("(i32.const -4)"), FaultKind::Nonsense { .. }));
}

#[test]
fn what_failed_where_and_in_whose_words_is_kept_for_the_tenant() {
    let engine = engine();
    for (body, kind, place) in [(LOOP, "deadline", true), (HOARD, "memory", true), ("unreachable", "trap", true)] {
        let guest = Binding::component(Role::Freshness, guests::freshness(ZERO, body));
        let policies = tenant(&engine, "shop", &[guest], &clock());
        (0..2).for_each(|_| _ = plan(&policies));
        let [report] = &*info(&policies, Role::Freshness).last_faults else { panic!("{body}") };
        assert_eq!(serde_json::to_value(&report.fault).unwrap()["kind"], kind);
        assert_eq!((report.times, report.fault.place.is_some()), (2, place), "{body}: {report:?}");
    }
    let said = "panicked at src/lib.rs:7:5: no price\r\n2026-11-29 ERROR all is lost \u{1b}[2J";
    let guest = Binding::component(Role::Freshness, guests::freshness_that_says(said));
    let policies = tenant(&engine, "shop", &[guest], &clock());
    plan(&policies);
    let [report] = &*info(&policies, Role::Freshness).last_faults else { panic!("no fault") };
    let safe = r"panicked at src/lib.rs:7:5: no price\r\n2026-11-29 ERROR all is lost \u{1b}[2J";
    assert_eq!(report.fault.said.as_deref(), Some(safe));
    assert!(report.fault.place.as_ref().is_some_and(|place| place.contains("told")), "{report:?}");
}

#[test]
fn what_a_guest_chooses_the_words_of_is_one_line_wherever_it_comes_out() {
    let policies = tenant(&engine(), "shop", &[], &clock());
    let refuse = |text: &str| {
        let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let data = format!("(data (i32.const 4096) \"{bytes}\")");
        let configure = format!(
            "(i32.store8 (i32.const 2048) (i32.const 1)) (i32.store (i32.const 2052) (i32.const 4096))
             (i32.store (i32.const 2056) (i32.const {})) (i32.const 2048)",
            text.len()
        );
        guests::freshness_with(&data, &configure, "unreachable")
    };
    let import = "a\r\n\u{1b}[2Jb".repeat(1_000);
    for component in [
        refuse("no\r\nERROR \u{1b}[2J\u{202e}"),
        refuse(&"\n".repeat(20_000)),
        wat::parse_str(format!("(component (import {import:?} (func)))")).unwrap_or_default(),
        wat::parse_str(format!("(component (core module (import {import:?} \"b\" (func))))")).unwrap(),
    ] {
        let error = policies.prepare(Binding::component(Role::Freshness, component)).unwrap_err().to_string();
        assert!(error.len() <= 1_200, "{} bytes", error.len());
        assert!(!error.chars().any(|it| it.is_control() || it == '\u{202e}'), "{error:?}");
    }
}

#[test]
fn two_memories_count_as_one() {
    let engine = engine();
    let fine = guests::freshness_with(SECOND_MEMORY, ZERO, &plan_with(""));
    let policies = tenant(&engine, "shop", &[Binding::component(Role::Freshness, fine)], &clock());
    assert!(plan(&policies).policy.is_some());
    assert_eq!(engine.instances(), 2, "it takes the places of two");
    drop(policies);
    // The first one has 2 pages from the start, of 32 that both may have.
    for body in [HOARD, HOARD_SECOND] {
        let counted = format!("{body} (i32.add (memory.size) (memory.size $second))");
        let guest = guests::freshness_with(SECOND_MEMORY, ZERO, &counted);
        let policies = tenant(&engine, "shop", &[Binding::component(Role::Freshness, guest)], &clock());
        assert_eq!(plan(&policies), native_plan());
        let [report] = &*info(&policies, Role::Freshness).last_faults else { panic!("no fault") };
        assert_eq!(report.fault.kind, FaultKind::Memory { limit_bytes: MEMORY_BYTES });
    }
    assert_eq!(engine.instances(), 0);
}

#[test]
fn components_within_a_policy_may_hand_each_other_texts() {
    let engine = engine();
    let guest = guests::composed(&guests::freshness(ZERO, &plan_with("")));
    let tried = try_component(&engine, &guest, None).unwrap();
    assert_eq!(tried.checked.roles, [Role::Freshness]);
    let policies = tenant(&engine, "shop", &[Binding::component(Role::Freshness, guest)], &clock());
    assert!(plan(&policies).policy.is_some());
    assert_eq!(engine.instances(), 3, "one for each memory");
}

#[test]
fn what_could_not_be_bound_does_not_pass_the_check_either() {
    let engine = engine();
    let with = |declarations: &str| guests::freshness_with(declarations, ZERO, ZERO);
    let memories = |count: usize| "(memory 1)".repeat(count);
    let tables = |count: usize| "(table 1 funcref)".repeat(count);
    for (what, component, says) in [
        ("a start that loops", with(&format!("(func $start {LOOP}) (start $start)")), "ran for more than 50000 us"),
        ("a start that traps", with("(func $start unreachable) (start $start)"), "trapped"),
        ("a start that hoards", with(&format!("(func $start {HOARD}) (start $start)")), "wanted more than 2097152"),
        ("a memory that is too large", with("(memory 64)"), "memory"),
        ("a memory of 4 GiB", with("(memory 65536)"), "memory"),
        ("many memories", with(&memories(20)), "21"),
        ("many tables", with(&tables(20)), "20"),
        ("a large table", with("(table 100000 funcref)"), "8192"),
        ("settings that make it loop", guests::freshness(LOOP, ZERO), "ran for more than 50000 us"),
        (
            "no functions",
            wat::parse_str(r#"(component (instance $i) (export "sandbar:policy/freshness@0.1.0" (instance $i)))"#)
                .unwrap(),
            "configure",
        ),
        ("a role that nothing asks", guests::warming(), "nothing asks a warming policy yet"),
        ("too large", vec![0; 9 << 20], "the limit is 8388608"),
    ] {
        let tried = try_component(&engine, &component, None).map(drop).unwrap_err().to_string();
        assert!(tried.contains(says), "{what}: {tried}");
        let policies = tenant(&engine, "shop", &[], &clock());
        let role = if what == "a role that nothing asks" { Role::Warming } else { Role::Freshness };
        let bound = policies.prepare(Binding::component(role, component)).map(drop).unwrap_err().to_string();
        assert_eq!(tried, bound, "{what}");
        assert_eq!(engine.instances(), 0, "{what}");
    }
    let picky = try_component(&engine, &guests::freshness(REFUSE, ZERO), None).unwrap();
    assert_eq!(picky.wants_settings, [(Role::Freshness, "no".into())]);
    assert!(try_component(&engine, &guests::freshness(REFUSE, ZERO), Some(&serde_json::json!({}))).is_err());
}

#[test]
fn many_modules_are_refused_or_run_but_never_harm_the_host() {
    let engine = engine();
    let policy = guests::freshness(ZERO, ZERO);
    for count in [1, 20, 31, 200] {
        let modules: String = (0..count).map(|_| "(core instance (instantiate $m))").collect();
        let many = wat::parse_str(format!("(component (core module $m) {modules})")).unwrap();
        // Its sections behind those of the policy: the first module is the policy's own then, made so many times more.
        let whole = [&policy[..], &many[8..]].concat();
        match try_component(&engine, &whole, None) {
            Ok(_) => assert!(count < 32),
            Err(error) => assert!(!error.to_string().contains("panicked"), "{error}"),
        }
    }
}

#[test]
fn binds_that_fail_use_up_nothing_of_the_share() {
    let config = EngineConfig { core_share_percent: 10, instances_max: 16, ..EngineConfig::default() };
    let engine = Engine::new(&config).unwrap();
    let policies = tenant(&engine, "shop", &[], &clock());
    // Each takes 50 ms, and the share allows a second at once.
    for _ in 0..40 {
        let looping = Binding::component(Role::Freshness, guests::freshness(LOOP, ZERO));
        let error = policies.prepare(looping).unwrap_err();
        assert!(
            matches!(&error, BindError::Faulted(fault) if matches!(fault.kind, FaultKind::Deadline { .. })),
            "{error}"
        );
    }
    let prepared = policies.prepare(Binding::stock(Role::Freshness, "early-refresh")).unwrap();
    policies.commit(prepared, |_| Ok(None)).unwrap();
    assert!(plan(&policies).policy.is_some());
    assert_eq!(info(&policies, Role::Freshness).over_share, 0);
    assert_eq!(engine.instances(), 1);
}

/// A tier in which an eviction guest knows of ten entries, and what comes of replacing it by `to`.
fn swap(from: &TenantPolicies, to: &TenantPolicies) -> (Result<Option<Fault>, Fault>, u64) {
    let config =
        MemoryConfig { capacity_bytes: 1 << 20, shards: Some(1), read_buffer_len: 1, ..MemoryConfig::default() };
    let memory: Memory<u64> = Memory::new(&config, from.eviction());
    let now = Timestamp::from_millis(0);
    (0..10).for_each(|number| _ = memory.insert(KeyHash(number << 64 | number), 0, Facts::default(), now));
    let swapped = memory.swap_eviction(to.eviction(), now).map(|swapped| swapped.misled);
    (swapped, memory.stats().entries)
}

/// A body of `hand-over` whose three lists are these: pointers and lengths.
fn three_lists(lists: [(u32, u32); 3]) -> String {
    let words = lists.into_iter().flat_map(|(pointer, length)| [pointer, length]);
    let stores =
        (0..).zip(words).map(|(at, word)| format!("(i32.store (i32.const {}) (i32.const {word}))", 2048 + at * 4));
    format!("{} (i32.const 2048)", stores.collect::<String>())
}

#[test]
fn what_a_guest_hands_over_harms_nobody() {
    // One call in sixteen is measured, and stands for all of them. Two of the loops below, were both measured, would use up the
    // tenant's share.
    let roomy = EngineConfig { instances_max: 16, core_share_percent: 0, ..EngineConfig::default() };
    let roomy = Engine::new(&roomy).unwrap();
    let grow = "(drop (memory.grow (i32.const 96)))";
    let tide = "(i64.store (i32.const 4096) (i64.const 0x3120656469740600))";
    let nonsense = Some("nonsense");
    let cases = [
        ("nothing", ZERO.to_owned(), None),
        ("a loop", LOOP.to_owned(), Some("50000 us")),
        ("a hoarder", HOARD.to_owned(), Some("of memory")),
        ("a trap", "unreachable".to_owned(), Some("trapped")),
        ("no pointer", "(i32.const -4)".to_owned(), nonsense),
        ("beyond its memory", three_lists([(0, 0), (0, u32::MAX / 8), (0, 0)]), nonsense),
        ("3 MiB", format!("{grow} {}", three_lists([(0, 1 << 20), (0, 1 << 16), (0, 1 << 20)])), nonsense),
        ("6 MiB", format!("{grow} {}", three_lists([(0, 3 << 20), (0, 0), (0, 3 << 20)])), nonsense),
        // It begins as that of `tide` does.
        ("garbage", format!("{tide} {}", three_lists([(0, 60_000), (0, 8_000), (4097, 60_000)])), None),
    ];
    for (what, hand_over, fault) in cases {
        let guest = guests::eviction_with(ZERO, ZERO, &hand_over, "");
        let from = tenant(&roomy, "shop", &[Binding::component(Role::Eviction, guest)], &clock());
        let successors = [
            tenant(&roomy, "shop", &[Binding::stock(Role::Eviction, "tide")], &clock()),
            tenant(&roomy, "shop", &[Binding::stock(Role::Eviction, "w-tinylfu")], &clock()),
            TenantPolicies::native("shop"),
        ];
        for (swaps, to) in (1..).zip(&successors) {
            assert_eq!(swap(&from, to), (Ok(None), 10), "{what}");
            assert_eq!(info(to, Role::Eviction).faults, 0, "{what}");
            let faults = info(&from, Role::Eviction).faults;
            assert_eq!(faults, if fault.is_some() { swaps } else { 0 }, "{what}");
        }
        let again = from.eviction().make(1 << 20, 1).unwrap().hand_over();
        match (again, fault) {
            (Err(found), Some(fault)) => assert!(found.to_string().contains(fault), "{what}: {found}"),
            (Ok(knowledge), Some(_)) => assert!(knowledge.bytes() > 2 << 20, "{what}"),
            (found, None) => assert!(found.is_ok(), "{what}: {found:?}"),
        }
    }
}

#[test]
fn a_guest_that_makes_its_successor_fail_is_blamed_and_goes() {
    let engine = engine();
    // Two ghosts, and a successor that fails where there are any.
    let liar = guests::eviction_with(ZERO, ZERO, &three_lists([(0, 0), (4096, 4), (0, 0)]), "");
    for fails in ["unreachable", LOOP, HOARD] {
        let credulous = format!("(if (local.get $ghosts_length) (then {fails}))");
        let credulous = guests::eviction_with(ZERO, ZERO, ZERO, &credulous);
        let from = tenant(&engine, "shop", &[Binding::component(Role::Eviction, liar.clone())], &clock());
        let to = tenant(&engine, "shop", &[Binding::component(Role::Eviction, credulous)], &clock());
        let (swapped, entries) = swap(&from, &to);
        assert!(swapped.is_ok_and(|misled| misled.is_some()), "{fails}");
        assert_eq!((entries, info(&to, Role::Eviction).faults), (10, 0), "{fails}");
        let [report] = &*info(&from, Role::Eviction).last_faults else { panic!("{fails}: nobody is blamed") };
        let name = info(&to, Role::Eviction).name;
        assert!(report.fault.to_string().contains(&format!("what it handed over made {name} fail")), "{report:?}");
    }
}

#[test]
fn a_stranger_writes_nothing_in_the_form_of_a_stock_policy() {
    let engine = Engine::new(&EngineConfig { instances_max: 16, ..EngineConfig::default() }).unwrap();
    // Bytes that begin as those of `tide` do; a policy that takes over fails where there are any.
    let tide = "(i64.store (i32.const 4096) (i64.const 0x3520656469740600))";
    let liar = format!("{tide} {}", three_lists([(0, 0), (0, 0), (4097, 1_000)]));
    let liar = Binding::component(Role::Eviction, guests::eviction_with(ZERO, ZERO, &liar, ""));
    let picky = "(if (local.get $own_length) (then unreachable))";
    let picky = Binding::component(Role::Eviction, guests::eviction_with(ZERO, ZERO, ZERO, picky));
    let stranger = tenant(&engine, "shop", &[picky], &clock());
    let from = tenant(&engine, "shop", &[liar], &clock());
    assert!(
        swap(&from, &stranger).0.is_ok_and(|misled| misled.is_some()),
        "strangers may tell each other what they like"
    );
    let stock = tenant(&engine, "shop", &[Binding::stock(Role::Eviction, "tide")], &clock());
    assert_eq!(swap(&from, &stock), (Ok(None), 10));
}

#[test]
fn a_replay_ends_with_the_first_fault_and_says_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = Trace::default();
    (0..1_000).for_each(|number| trace.push(number, KeyHash(u128::from(number) << 64 | 7), 10, 0).unwrap());
    for (name, body, says) in [
        ("trap", "unreachable", "trapped: wasm `unreachable` instruction executed"),
        ("loop", LOOP, "ran for more than 2000 us of processor time"),
        ("nonsense", "(i32.const -4)", "nonsense"),
    ] {
        let path = dir.path().join(format!("{name}.wasm"));
        std::fs::write(&path, guests::eviction(ZERO, body)).unwrap();
        let policy: PolicyChoice = path.display().to_string().parse().unwrap();
        let capacity = "100".parse().unwrap();
        let replay = Replay { engine: engine().into(), ..Replay::default() };
        let error = replay.run(&trace, &policy, Unit::Entries, capacity, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("failed at request 1 of 1000"), "{error}");
    }
}

#[test]
fn a_guest_that_can_not_take_over_leaves_the_old_one_where_it_is() {
    let engine = engine();
    let from = tenant(&engine, "shop", &[Binding::stock(Role::Eviction, "tide")], &clock());
    for body in [LOOP, HOARD, "unreachable"] {
        let guest = guests::eviction_with(ZERO, ZERO, ZERO, body);
        let to = tenant(&engine, "shop", &[Binding::component(Role::Eviction, guest)], &clock());
        let (swapped, entries) = swap(&from, &to);
        assert!(swapped.is_err() && entries == 10, "{body}: {swapped:?}");
        assert_eq!((info(&from, Role::Eviction).faults, info(&to, Role::Eviction).faults), (0, 1), "{body}");
    }
}

fn is_within_its_bound(memory: &Memory<u64>) -> bool {
    let stats = memory.stats();
    stats.capacity_bytes == 1 << 20
        && stats.slack_bytes <= 1 << 20
        && stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes
}

#[test]
fn bogus_victims_never_cost_the_bound() {
    let engine = engine();
    let clock = clock();
    // Whatever happens: slots 1,000,000 and 0, twice.
    let liar = "
        (i32.store (i32.const 2048) (i32.const 4096)) (i32.store (i32.const 2052) (i32.const 4))
        (i32.store (i32.const 4096) (i32.const 1000000)) (i32.store (i32.const 4104) (i32.const 1000000))
        (i32.const 2048)";
    for body in [liar, LOOP, HOARD, "unreachable", ZERO] {
        let guest = Binding::component(Role::Eviction, guests::eviction(ZERO, body));
        let policies = tenant(&engine, "shop", &[guest], &clock);
        let config = MemoryConfig {
            capacity_bytes: 1 << 20,
            shards: Some(1),
            read_buffer_len: 64,
            seed: 1,
            ..MemoryConfig::default()
        };
        let memory: Memory<u64> = Memory::new(&config, policies.eviction());
        for number in 0..2_000_u64 {
            let facts = Facts { weight_bytes: 10_000, fetch_cost_us: 1, expires: Timestamp::from_millis(u64::MAX) };
            memory.insert(KeyHash(u128::from(number) << 64 | u128::from(number)), number, facts, clock.now());
            assert!(is_within_its_bound(&memory), "{body}: {number}");
        }
        assert!(info(&policies, Role::Eviction).faults >= 1, "{body}");
        assert!(memory.stats().entries > 50, "{body}: the cache still caches");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_the_reason_and_changes_nothing() {
    let engine = engine();
    let policies = tenant(&engine, "shop", &[Binding::stock(Role::Freshness, "early-refresh")], &clock());
    let good = guests::freshness(ZERO, "unreachable");
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let refused = |bytes: Vec<u8>| policies.prepare(Binding::component(Role::Freshness, bytes)).unwrap_err();
    for (bytes, says) in [
        (b"garbage bytes".to_vec(), "it is not WebAssembly"),
        (Vec::new(), "it is not WebAssembly"),
        (good[..good.len() - 9].to_vec(), "not a valid component"),
        (wat("(module)"), "core module"),
        (wat("(component)"), "no role"),
        (wat(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#), "`wasi:clocks/wall-clock@0.2.0`"),
        (wat(r#"(component (import "f" (func)))"#), "it imports `f`"),
        (guests::eviction(ZERO, ZERO), "it has not the role freshness; it has eviction"),
        (guests::freshness(REFUSE, "unreachable"), "it refuses its settings: no"),
        (guests::freshness("unreachable", "unreachable"), "while it was configured: trapped"),
        (guests::freshness(LOOP, "unreachable"), "while it was configured: ran for more than 50000 us"),
        (guests::freshness(HOARD, "unreachable"), "while it was configured: wanted more than 2097152 bytes"),
        (wat(r#"(component (instance $i) (export "sandbar:policy/freshness@0.1.0" (instance $i)))"#), "configure"),
    ] {
        let error = refused(bytes);
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_tenants(), "{error}");
    }
    assert!(matches!(refused(vec![0; 9 << 20]), BindError::TooLarge { .. }));
    assert_eq!(&*info(&policies, Role::Freshness).name, "early-refresh");
    assert!(matches!(plan(&policies).plan.early_refresh, EarlyRefresh::Window { .. }));
}

#[test]
fn a_memory_that_is_too_large_from_the_start_is_refused() {
    let large = wat::parse_str("(component (core module $m (memory 65536)) (core instance (instantiate $m)))").unwrap();
    assert!(matches!(check(&large), Err(BindError::NoRole)));
}

#[test]
fn a_neighbour_is_unharmed() {
    let engine = engine();
    let clock = clock();
    let hostile = Binding::component(Role::Freshness, guests::freshness(ZERO, LOOP));
    let hostile = Arc::new(tenant(&engine, "hostile", &[hostile], &clock));
    let neighbour = tenant(&engine, "neighbour", &[Binding::stock(Role::Freshness, "early-refresh")], &clock);
    std::thread::scope(|scope| {
        let attack = || {
            for _ in 0..20 {
                clock.advance(Duration::from_secs(700)); // Past every quarantine: it loops each time.
                assert_eq!(plan(&hostile), native_plan());
            }
        };
        let attackers = [scope.spawn(attack), scope.spawn(attack)];
        while !attackers.iter().all(|attacker| attacker.is_finished()) {
            assert!(plan(&neighbour).policy.is_some());
        }
    });
    assert!(info(&hostile, Role::Freshness).faults >= 20);
    assert_eq!(info(&neighbour, Role::Freshness).faults, 0);
}

#[test]
fn a_tenant_whose_guests_use_up_their_share_of_the_processor_is_served_natively_until_it_is_paid() {
    let engine = Engine::new(&EngineConfig { core_share_percent: 10, faults_max: u32::MAX, ..EngineConfig::default() });
    let clock = clock();
    let slow = Binding::component(Role::Freshness, guests::freshness(ZERO, LOOP));
    let policies = tenant(&engine.unwrap(), "shop", &[slow], &clock);
    let is_over = || info(&policies, Role::Freshness).over_share > 0;
    let calls = (0..5_000).take_while(|_| plan(&policies) == native_plan() && !is_over()).count();
    assert!((10..5_000).contains(&calls), "a second of 2 ms each, measured by samples: {calls}");
    let asked = info(&policies, Role::Freshness).calls;
    assert_eq!(plan(&policies), native_plan());
    assert_eq!(info(&policies, Role::Freshness).calls, asked);
    clock.advance(Duration::from_secs(60));
    assert_eq!(plan(&policies), native_plan());
    assert_eq!(info(&policies, Role::Freshness).calls, asked + 1);
}

#[test]
fn past_the_pool_the_native_policy_serves_and_it_is_counted() {
    let config = EngineConfig { instances_max: 2, ..EngineConfig::default() };
    let engine = Engine::new(&config).unwrap();
    let clock = clock();
    let policies = tenant(&engine, "shop", &[Binding::stock(Role::Eviction, "lru")], &clock);
    let config = MemoryConfig {
        capacity_bytes: 1 << 20,
        shards: Some(4),
        read_buffer_len: 64,
        seed: 1,
        ..MemoryConfig::default()
    };
    let memory: Memory<u64> = Memory::new(&config, policies.eviction());
    for number in 0..400_u64 {
        let facts = Facts { weight_bytes: 10_000, fetch_cost_us: 1, expires: Timestamp::from_millis(u64::MAX) };
        let spread = blake3::hash(&number.to_le_bytes());
        let key = u128::from_le_bytes(spread.as_bytes()[..16].try_into().unwrap());
        memory.insert(KeyHash(key), number, facts, clock.now());
        assert!(is_within_its_bound(&memory));
    }
    assert_eq!(engine.instances(), 2);
    let info = info(&policies, Role::Eviction);
    assert!(info.no_instance >= 1);
    assert_eq!((info.faults, info.state, info.by), (0, BindingState::Active, BoundBy::Config));
    drop(memory);
    assert_eq!(engine.instances(), 0);
}
