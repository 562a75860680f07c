//! A burst of requests for what is to be validated each time takes one round trip of the origin, and nobody waits in vain.
//!
//! What is merely stale (RFC 9111 section 4) is validated once for all who come while that is under way. What says `no-cache`
//! (section 5.2.2.4) is validated for each use: who comes while a validation is at the origin starts another at once, which
//! is shared with all who come before it is sent.

use sandbar_tests::visitors::Audience::WhoAskedBefore;
use sandbar_tests::visitors::{Got, Says, Stage, Visitor, crowd, visitor};

use crate::on_every_arrangement;

const MAX_AGE_0: &str = "cache-control: public, max-age=0\netag: \"a\"";
const NO_CACHE: &str = "cache-control: no-cache\netag: \"a\"";

/// The origin's answer to somebody who has it, and to somebody who has not.
fn says(stage: &Stage, fields: &'static str, audience: Option<sandbar_tests::visitors::Audience>) {
    stage.origin.says(move |heard| {
        let says = match heard.field("if-none-match") {
            "" => Says::page(fields),
            _ => Says::status(304, fields),
        };
        audience.map_or(says.clone(), |audience| says.to(audience))
    });
}

/// All were answered, and nothing was asked of the origin once it had begun to answer.
fn in_one_round_trip(stage: &Stage, got: &[Got], requests: std::ops::RangeInclusive<usize>, before: usize) {
    let (all, at_first) = (stage.origin.heard() - before, stage.heard_when_answered() - before);
    stage.expect(all == at_first, || format!("{} requests only after the first answer, of {all}", all - at_first));
    stage.expect(requests.contains(&all), || format!("{all} requests for {} visitors", got.len()));
    stage.expect(got.iter().all(|got| got.status == 200), || format!("not all were answered: {got:?}"));
}

/// Every burst of eight is one request.
#[tokio::test]
async fn of_what_is_stale_at_once_is_one_request() -> anyhow::Result<()> {
    let visitors = crowd(8, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        says(stage, MAX_AGE_0, None);
        let mut all = vec![stage.ask(0, "/a", &visitor("first")).await];
        for _ in 0..3 {
            let before = stage.origin.heard();
            let got = stage.together("/a", &visitors).await;
            in_one_round_trip(stage, &got, 1..=1, before);
            all.extend(got);
            stage.forget();
        }
        all
    })
    .await
}

/// The first one of all as well: what it brings is stale on arrival, and as good for those who wait as it will ever be.
#[tokio::test]
async fn of_what_nobody_had_and_is_stale_at_once_is_one_request() -> anyhow::Result<()> {
    let visitors = crowd(8, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        says(stage, MAX_AGE_0, None);
        let got = stage.together("/a", &visitors).await;
        in_one_round_trip(stage, &got, 1..=1, 0);
        got
    })
    .await
}

/// Who comes while it is at the origin joins it.
#[tokio::test]
async fn in_waves_of_what_is_stale_is_one_request() -> anyhow::Result<()> {
    let visitors = crowd(9, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        let mut all = Vec::new();
        for (page, stored) in [("/a", MAX_AGE_0), ("/b", "cache-control: max-age=60\nage: 70\netag: \"a\"")] {
            says(stage, stored, None);
            stage.ask(0, page, &visitor("first")).await;
            let before = stage.origin.heard();
            let waves: Vec<&[Visitor]> = visitors.chunks(3).collect();
            let got = stage.one_after_the_other(page, &waves).await;
            in_one_round_trip(stage, &got, 1..=1, before);
            all.extend(got);
        }
        all
    })
    .await
}

/// At one moment all come before the request is sent; a node of a fleet does not know of what the other one sends.
#[tokio::test]
async fn of_what_is_validated_each_time_is_one_round_trip() -> anyhow::Result<()> {
    let visitors = crowd(8, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        says(stage, NO_CACHE, Some(WhoAskedBefore));
        let mut all = vec![stage.ask(0, "/a", &visitor("first")).await];
        for _ in 0..3 {
            let before = stage.origin.heard();
            let got = stage.together("/a", &visitors).await;
            in_one_round_trip(stage, &got, 1..=4, before);
            all.extend(got);
            stage.forget();
        }
        all
    })
    .await
}

/// Each wave finds a validation at the origin that was sent before it came: it starts one of its own, all of it together.
#[tokio::test]
async fn in_waves_of_what_is_validated_each_time_is_a_request_a_wave_and_one_round_trip() -> anyhow::Result<()> {
    let visitors = crowd(12, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        says(stage, NO_CACHE, Some(WhoAskedBefore));
        let mut all = vec![stage.ask(0, "/a", &visitor("first")).await];
        let before = stage.origin.heard();
        let waves: Vec<&[Visitor]> = visitors.chunks(4).collect();
        let got = stage.one_after_the_other("/a", &waves).await;
        // Each node for itself.
        in_one_round_trip(stage, &got, 3..=6, before);
        all.extend(got);
        all
    })
    .await
}

/// A reload insists for itself alone, and does not wait for what was under way; reloads that come together share one.
#[tokio::test]
async fn of_reloads_is_one_round_trip() -> anyhow::Result<()> {
    let visitors = crowd(3, "x-who", "{who}");
    let reloads = crowd(4, "cache-control", "no-cache");
    on_every_arrangement(async |stage| {
        says(stage, "cache-control: max-age=60\nage: 70\netag: \"a\"", None);
        stage.ask(0, "/a", &visitor("first")).await;
        says(stage, "cache-control: max-age=60\netag: \"a\"", None);
        let before = stage.origin.heard();
        let got = stage.one_after_the_other("/a", &[&visitors, &reloads]).await;
        in_one_round_trip(stage, &got, 2..=3, before);
        got
    })
    .await
}
