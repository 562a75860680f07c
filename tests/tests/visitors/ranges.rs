//! Different ranges at once (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4).

use sandbar_tests::visitors::Audience::{self, Everybody, ItsRequest};
use sandbar_tests::visitors::{Got, Says, Stage, Tiers, Visitor, crowd, visitor};

use crate::on_every_arrangement;

const LENGTH: usize = 60;
const RANGES: [&str; 6] = ["0-9", "10-19", "50-59", "5-34", "20-59", "0-59"];

/// The representation that a visitor with this cookie gets: no byte of one is in another's.
fn whole(cookie: &str) -> Vec<u8> {
    let name = if cookie.is_empty() { "everybody" } else { cookie };
    name.as_bytes().iter().cycle().zip(0u8..).map(|(byte, place)| byte ^ (place / 4)).take(LENGTH).collect()
}

/// Where a visitor got other bytes than their own request names, or was told something wrong of them.
fn bytes_are_right(stage: &Stage, got: &Got, varies: bool) {
    let whole = whole(if varies { got.visitor.field("cookie") } else { "" });
    let right = match got.status {
        200 => got.body == whole,
        206 => {
            let range = got.visitor.field("range").trim_start_matches("bytes=");
            let part = got.field("content-range").trim_start_matches("bytes ").trim_end_matches("/60");
            let (first, last) = part.split_once('-').unwrap_or(("0", "0"));
            let (first, last): (usize, usize) = (first.parse().unwrap_or(0), last.parse().unwrap_or(0));
            part == range && last < LENGTH && got.body == whole[first..=last]
        }
        _ => false,
    };
    stage.expect(right, || format!("bytes of somebody else: {:?} got {got:?}", got.visitor));
    stage.expect(got.status != 206 || !got.visitor.field("range").is_empty(), || format!("an unasked part: {got:?}"));
}

/// Each asks for a range of their own, one of them for all of it.
fn readers(cookie: &str) -> Vec<Visitor> {
    let mut readers = crowd(RANGES.len() + 1, "cookie", cookie);
    for (reader, range) in readers.iter_mut().zip(RANGES) {
        reader.fields.push(("range", format!("bytes={range}")));
    }
    readers
}

async fn at_once(fields: &'static str, varies: bool, audience: Audience) -> anyhow::Result<()> {
    let readers = readers("{who}");
    on_every_arrangement(async |stage| {
        stage.origin.says(move |heard| {
            let cookie = if varies { heard.field("cookie") } else { "" };
            Says::of(&whole(cookie), &format!("\"{}\"", if varies { cookie } else { "a" }), heard, fields).to(audience)
        });
        let mut got = Vec::new();
        for page in ["/a", "/b"] {
            got.extend(stage.together(page, &readers).await);
            got.extend(stage.together(page, &readers).await);
            stage.forget();
            let backwards: Vec<Visitor> = readers.iter().rev().cloned().collect();
            got.extend(stage.together(page, &backwards).await);
        }
        got.iter().for_each(|got| bytes_are_right(stage, got, varies));
        got
    })
    .await
}

#[tokio::test]
async fn of_one_file_for_all() -> anyhow::Result<()> {
    at_once("cache-control: public, max-age=60", false, Everybody).await
}

#[tokio::test]
async fn of_a_file_that_varies_on_the_cookie() -> anyhow::Result<()> {
    at_once("cache-control: public, max-age=60\nvary: cookie", true, Everybody).await
}

#[tokio::test]
async fn of_a_private_file() -> anyhow::Result<()> {
    at_once("cache-control: private, max-age=60", true, ItsRequest).await
}

#[tokio::test]
async fn of_a_file_that_brings_a_cookie() -> anyhow::Result<()> {
    at_once("cache-control: public, max-age=60\nset-cookie: s={who}", true, ItsRequest).await
}

/// What was read in several places is a hit for all, wherever it is kept, and what lies between is added to it.
#[tokio::test]
async fn in_several_places_one_after_the_other() -> anyhow::Result<()> {
    let ranged = |range: &str| visitor("reader").with("range", format!("bytes={range}"));
    on_every_arrangement(async |stage| {
        stage.origin.says(|heard| Says::of(&whole(""), "\"a\"", heard, "cache-control: max-age=60"));
        let mut got = Vec::new();
        for place in ["0-9", "20-29", "50-59"] {
            got.push(stage.ask(0, "/file", &ranged(place)).await);
        }
        let heard = stage.origin.heard();
        for in_l1 in [true, false] {
            for place in ["20-29", "0-9", "52-55", "50-59"] {
                let found = stage.ask(0, "/file", &ranged(place)).await;
                let kept = in_l1 || stage.tiers != Tiers::Memory;
                stage.expect(!kept || found.is_hit(), || format!("{place} is not stored: {found:?}"));
                got.push(found);
            }
            let asked = stage.origin.heard() - heard;
            stage.expect(asked == 0 || !in_l1, || format!("the origin was asked {asked} times"));
            stage.forget();
        }
        for between in ["5-24", "25-55", "0-59"] {
            got.push(stage.ask(1, "/file", &ranged(between)).await);
        }
        got.push(stage.ask(0, "/file", &visitor("late")).await);
        got.iter().for_each(|got| bytes_are_right(stage, got, false));
        got
    })
    .await
}

/// The beginning is stored, all ask for the whole, and the rest that the origin sends is for one of them.
async fn completed(who: (&'static str, &'static str), fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    let mut visitors = crowd(6, who.0, who.1);
    visitors[4].fields.push(("range", "bytes=30-59".into()));
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for in_l1 in [true, false] {
            let target = format!("/file/{in_l1}");
            stage.origin.says(|heard| Says::of(&whole(""), "\"a\"", heard, "cache-control: max-age=60"));
            got.push(stage.ask(0, &target, &visitor("first").with("range", "bytes=0-9")).await);
            if !in_l1 {
                stage.forget();
            }
            stage.origin.says(move |heard| Says::of(&whole(""), "\"a\"", heard, fields).to(audience));
            got.extend(stage.together(&target, &visitors).await);
            stage.origin.says(|heard| Says::of(&whole(""), "\"a\"", heard, "cache-control: max-age=60"));
            got.push(stage.ask(1, &target, &visitor("late")).await);
        }
        got.iter().for_each(|got| bytes_are_right(stage, got, false));
        got
    })
    .await
}

const BY_COOKIE: (&str, &str) = ("cookie", "session={who}");
const BY_CREDENTIALS: (&str, &str) = ("authorization", "Bearer {who}");

#[tokio::test]
async fn that_complete_a_part_for_everybody() -> anyhow::Result<()> {
    completed(BY_COOKIE, "cache-control: max-age=60", Everybody).await
}

#[tokio::test]
async fn that_complete_a_part_and_are_private() -> anyhow::Result<()> {
    completed(BY_COOKIE, "cache-control: private, max-age=60", ItsRequest).await?;
    completed(BY_COOKIE, "cache-control: no-store", ItsRequest).await
}

#[tokio::test]
async fn that_complete_a_part_and_bring_a_cookie() -> anyhow::Result<()> {
    completed(BY_COOKIE, "cache-control: max-age=60\nset-cookie: s={who}", ItsRequest).await
}

#[tokio::test]
async fn that_complete_a_part_for_an_authorized_request() -> anyhow::Result<()> {
    completed(BY_CREDENTIALS, "cache-control: max-age=60", ItsRequest).await?;
    completed(BY_CREDENTIALS, "cache-control: public, max-age=60", Everybody).await
}

/// What is stored is stale; some have an old copy's part and some the present one's.
#[tokio::test]
async fn under_if_range() -> anyhow::Result<()> {
    let ranged = |name: &str, tag: &str| visitor(name).with("range", "bytes=10-19").with("if-range", tag);
    let visitors = [
        ranged("present", "\"a\""),
        ranged("outdated", "\"old\""),
        visitor("whole"),
        visitor("plain").with("range", "bytes=30-39"),
        ranged("present-too", "\"a\""),
        ranged("outdated-too", "\"old\""),
    ];
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for in_l1 in [true, false] {
            let target = format!("/file/{in_l1}");
            stage.origin.says(|heard| Says::of(&whole(""), "\"a\"", heard, "cache-control: max-age=60\nage: 70"));
            stage.ask(0, &target, &visitor("first")).await;
            if !in_l1 {
                stage.forget();
            }
            stage.origin.says(|heard| match heard.field("if-none-match") {
                "" => Says::of(&whole(""), "\"a\"", heard, "cache-control: max-age=60"),
                _ => Says::status(304, "cache-control: max-age=60\netag: \"a\""),
            });
            got.extend(stage.together(&target, &visitors).await);
        }
        for got in &got {
            bytes_are_right(stage, got, false);
            let outdated = got.visitor.name.starts_with("outdated");
            stage.expect(!outdated || got.status == 200, || format!("a part of what they don't have: {got:?}"));
        }
        got
    })
    .await
}
