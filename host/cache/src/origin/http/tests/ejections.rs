//! Addresses that are left out because they do not work.

use sandbar_base::clock::{Clock, ManualClock, Timestamp};

use super::addresses::{Named, nobody, over, said};
use super::*;
use crate::origin::{AddressReport, Progress};

/// An origin over these servers whose time is stepped.
fn stepped(config: &OriginConfig) -> (HttpOrigin, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000)));
    let injected = Arc::clone(&clock) as Arc<dyn Clock>;
    (HttpOrigin::within(config, injected, Arc::new(SystemResolver)).expect("an origin"), clock)
}

fn address(http: &HttpOrigin, number: usize) -> AddressReport {
    http.report().addresses.swap_remove(number)
}

/// Asks so often and counts the answers of each status code.
async fn statuses(http: &HttpOrigin, times: usize) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..times {
        let response = http.fetch(get("http://shop.example/a")).await.expect("a response");
        *counts.entry(response.status().as_u16()).or_insert(0) += 1;
        drain(response).await;
    }
    counts
}

#[tokio::test]
async fn a_dead_address_is_tried_by_one_request_after_each_pause_and_comes_back() {
    let (dead, alive) = (nobody().await, Named::start("127.0.0.1", 0).await);
    let (http, clock) = stepped(&over(&[dead, alive.at]));
    statuses(&http, 20).await;
    assert_eq!((address(&http, 0).ejected, address(&http, 0).requests), (true, 1));
    clock.advance(Duration::from_secs(5));
    statuses(&http, 20).await;
    assert_eq!((address(&http, 0).ejections, address(&http, 0).requests), (2, 2), "one request, answered elsewhere");
    let again = Named::start("127.0.0.1", dead.port()).await;
    statuses(&http, 20).await;
    assert_eq!(address(&http, 0).requests, 2, "its pause is not over");
    clock.advance(Duration::from_secs(10));
    assert_eq!(said(&http).await, again.at.to_string(), "the next request tries it");
    assert!(!address(&http, 0).ejected);
    statuses(&http, 40).await;
    assert!(address(&http, 0).requests > 5);
}

#[tokio::test]
async fn an_address_that_flaps_is_left_out_for_longer_each_time() {
    let (flaps, alive) = (Named::start("127.0.0.1", 0).await, Named::start("127.0.0.1", 0).await);
    let (http, clock) = stepped(&over(&[flaps.at, alive.at]));
    for (times, pause_ms) in [(1, 5_000), (2, 10_000), (3, 20_000)] {
        flaps.status.store(503, Ordering::SeqCst);
        let counts = statuses(&http, 60).await;
        assert_eq!((counts[&503], address(&http, 0).ejections), (5, times), "five in a row are enough");
        flaps.status.store(200, Ordering::SeqCst);
        clock.advance(Duration::from_millis(pause_ms / 2 - 1));
        statuses(&http, 5).await;
        assert!(address(&http, 0).ejected, "half of its pause is certain");
        clock.advance(Duration::from_millis(pause_ms / 2 + 1));
        assert_eq!(said(&http).await, flaps.at.to_string());
    }
}

#[tokio::test]
async fn what_all_answer_leaves_out_no_more_than_the_share() {
    let servers = [0, 0, 0].map(|port| Named::start("127.0.0.1", port));
    let servers = futures_util::future::join_all(servers).await;
    let (http, _) = stepped(&over(&servers.iter().map(|one| one.at).collect::<Vec<_>>()));
    for server in &servers {
        server.status.store(502, Ordering::SeqCst);
    }
    statuses(&http, 60).await;
    assert_eq!(http.report().addresses.iter().filter(|one| one.ejected).count(), 1, "half of three is one");
    servers.iter().for_each(|one| one.status.store(200, Ordering::SeqCst));
    assert_eq!(statuses(&http, 10).await.keys().collect::<Vec<_>>(), [&200]);
}

#[tokio::test]
async fn where_all_are_dead_one_is_kept_and_those_that_are_out_are_asked_too() {
    let dead = [nobody().await, nobody().await, nobody().await];
    let (http, _) = stepped(&over(&dead));
    for _ in 0..5 {
        let error = http.fetch(get("http://shop.example/a")).await.map(|_| ()).expect_err("nobody is there");
        assert!(matches!(error, OriginError::Connect { .. }), "{error}");
    }
    assert_eq!(http.report().addresses.iter().filter(|one| one.ejected).count(), 2);
    let out = http.report().addresses.iter().position(|one| one.ejected).expect("one that is out");
    let back = Named::start("127.0.0.1", dead[out].port()).await;
    for _ in 0..10 {
        assert_eq!(said(&http).await, back.at.to_string());
    }
}

#[tokio::test]
async fn a_trial_that_its_client_gives_up_is_left_to_another_request() {
    let (dead, alive) = (nobody().await, Named::start("127.0.0.1", 0).await);
    let (http, clock) = stepped(&over(&[dead, alive.at]));
    statuses(&http, 20).await;
    clock.advance(Duration::from_secs(5));
    let listener = TcpListener::bind(dead).await.expect("the port");
    let mut given_up = http.fetch(get("http://shop.example/a"));
    tokio::select! {
        _ = &mut given_up => panic!("nothing answers"),
        accepted = listener.accept() => drop(accepted.expect("a connection")),
    }
    drop(given_up);
    drop(listener);
    let again = Named::start("127.0.0.1", dead.port()).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(said(&http).await, again.at.to_string());
}

#[tokio::test]
async fn a_request_that_is_sent_again_goes_to_another_address() {
    let servers = [Named::start("127.0.0.1", 0).await, Named::start("127.0.0.1", 0).await];
    let (http, _) = stepped(&over(&[servers[0].at, servers[1].at]));
    for _ in 0..10 {
        let (progress, mut answers) = (Progress::default(), Vec::new());
        for _ in 0..2 {
            let mut request = get("http://shop.example/a");
            request.extensions_mut().insert(progress.clone());
            answers.push(text(http.fetch(request).await.expect("a response")).await);
        }
        assert_ne!(answers[0], answers[1]);
    }
}

#[tokio::test]
async fn a_trial_that_a_slow_upload_holds_is_left_to_another_request_after_a_while() {
    let (dead, alive) = (nobody().await, Named::start("127.0.0.1", 0).await);
    let (http, clock) = stepped(&over(&[dead, alive.at]));
    let http = Arc::new(http);
    statuses(&http, 20).await;
    clock.advance(Duration::from_secs(5));
    let again = Named::start("127.0.0.1", dead.port()).await;
    let never =
        body::boxed(StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BoxError>>()));
    let slow = Request::post("http://shop.example/a").header("content-length", "10").body(never).expect("a request");
    let uploads = Arc::clone(&http);
    let _uploading =
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move { uploads.fetch(slow).await.is_ok() }));
    while address(&http, 0).requests < 2 {
        tokio::task::yield_now().await;
    }
    statuses(&http, 20).await;
    assert_eq!(address(&http, 0).requests, 2, "one tries it");
    let config = OriginConfig::new("http://app.internal".parse().expect("a URL"));
    clock.advance(config.connect_deadline.get() + config.first_byte_deadline.get());
    assert_eq!(said(&http).await, again.at.to_string());
    assert!(!address(&http, 0).ejected);
}

#[tokio::test]
async fn an_address_whose_responses_break_off_is_left_out() {
    let breaks = origin(|mut stream, _| async move {
        loop {
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\nhalf").await?;
            stream.shutdown().await?;
        }
    });
    let breaks = breaks.await.url.authority().as_str().parse().expect("an address");
    let alive = Named::start("127.0.0.1", 0).await;
    let (http, clock) = stepped(&over(&[breaks, alive.at]));
    let broken = async |times: usize| {
        let mut broken = 0;
        for _ in 0..times {
            let response = http.fetch(get("http://shop.example/a")).await.expect("a head");
            broken += usize::from(response.into_body().collect().await.is_err());
        }
        broken
    };
    assert_eq!(broken(60).await, 5, "five in a row are enough");
    assert_eq!((address(&http, 0).ejected, address(&http, 0).failures), (true, 5));
    assert!(address(&http, 0).last_error.is_some_and(|why| why.contains("broke off")));
    clock.advance(Duration::from_secs(5));
    assert_eq!(broken(60).await, 5, "the head of a response ends a trial, its content is seen at its end");
    assert_eq!(address(&http, 0).ejections, 2);
}

/// Where a fetch has less time than a first byte: otherwise one that hangs would never be left out.
#[tokio::test]
async fn an_address_that_hangs_until_requests_are_given_up_is_left_out() {
    let hangs = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        std::future::pending::<()>().await;
        Ok(())
    });
    let hangs = hangs.await.url.authority().as_str().parse().expect("an address");
    let alive = Named::start("127.0.0.1", 0).await;
    let (http, clock) = stepped(&over(&[hangs, alive.at]));
    let give_up_one = async || {
        let before = address(&http, 0).requests;
        while address(&http, 0).requests == before {
            let progress = Progress::default();
            let mut request = get("http://shop.example/a");
            request.extensions_mut().insert(progress.clone());
            let mut fetching = http.fetch(request);
            if tokio::time::timeout(Duration::from_millis(50), &mut fetching).await.is_err() {
                progress.is_given_up();
            }
        }
    };
    for _ in 0..5 {
        assert!(!address(&http, 0).ejected);
        give_up_one().await;
    }
    assert_eq!((address(&http, 0).ejected, address(&http, 0).failures), (true, 5));
    clock.advance(Duration::from_secs(5));
    give_up_one().await;
    assert_eq!((address(&http, 0).ejections, address(&http, 0).failures), (2, 6), "so does the trial");
}
