//! Variants (RFC 9111 section 4.1): whatever a lookup or a fetch brings, each visitor's own request selects it.

use sandbar_tests::visitors::{Got, Says, Stage, Visitor, crowd, visitor};

use crate::on_every_arrangement;

const PAGES: usize = 12;

/// Everybody has seen every page, the caches have forgotten what was in memory, and all ask at once again.
async fn all_come_back(stage: &Stage, visitors: &[Visitor], fields: &'static str) -> Vec<Got> {
    stage.origin.says(move |_| Says::page(fields));
    let targets: Vec<String> = (0..PAGES).map(|page| format!("/page/{page}")).collect();
    for target in &targets {
        for (number, visitor) in visitors.iter().enumerate() {
            stage.ask(number, target, visitor).await;
        }
    }
    let mut got = Vec::new();
    for _ in 0..2 {
        stage.forget();
        for target in &targets {
            got.extend(stage.together(target, visitors).await);
        }
    }
    got
}

#[tokio::test]
async fn by_cookie_after_a_restart() -> anyhow::Result<()> {
    let visitors = crowd(4, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        all_come_back(stage, &visitors, "cache-control: public, max-age=600\nvary: cookie\netag: \"{who}\"").await
    })
    .await
}

#[tokio::test]
async fn by_language_after_a_restart() -> anyhow::Result<()> {
    let visitors = ["de", "en", "fr"].map(|language| visitor(language).with("accept-language", language));
    on_every_arrangement(async |stage| {
        all_come_back(stage, &visitors, "cache-control: max-age=600\nvary: accept-language").await
    })
    .await
}

#[tokio::test]
async fn by_coding_after_a_restart() -> anyhow::Result<()> {
    let visitors = ["br", "gzip", "identity"].map(|coding| visitor(coding).with("accept-encoding", coding));
    on_every_arrangement(async |stage| {
        all_come_back(stage, &visitors, "cache-control: max-age=600\nvary: accept-encoding\netag: \"{who}\"").await
    })
    .await
}

/// Who has come once is told from who has not: some variants are stored, others are not.
#[tokio::test]
async fn of_which_only_some_are_stored() -> anyhow::Result<()> {
    let (known, strangers) = (crowd(2, "cookie", "session={who}"), ["eve", "mallory"]);
    let strangers = strangers.map(|name| visitor(name).with("cookie", format!("session={name}")));
    let all: Vec<Visitor> = known.iter().chain(&strangers).cloned().collect();
    on_every_arrangement(async |stage| {
        stage.origin.says(|_| Says::page("cache-control: public, max-age=600\nvary: cookie"));
        let mut got = Vec::new();
        for page in 0..PAGES {
            let target = format!("/page/{page}");
            for (number, visitor) in known.iter().enumerate() {
                stage.ask(number, &target, visitor).await;
            }
            stage.forget();
            got.extend(stage.together(&target, &all).await);
        }
        got
    })
    .await
}

/// One page, three ways to select it: by language without a cookie, by cookie with one, by both for the staff.
#[tokio::test]
async fn of_several_sets_of_fields() -> anyhow::Result<()> {
    let of = |name: &str, cookie: &str, language: &str| {
        let visitor = visitor(name).with("accept-language", language);
        if cookie.is_empty() { visitor } else { visitor.with("cookie", cookie) }
    };
    let visitors = [
        of("german", "", "de"),
        of("english", "", "en"),
        of("alice", "user=alice", "de"),
        of("bob", "user=bob", "de"),
        of("carol", "staff=carol", "de"),
        of("carol-abroad", "staff=carol", "en"),
    ];
    on_every_arrangement(async |stage| {
        stage.origin.says(|heard| {
            let vary = match heard.field("cookie").split('=').next() {
                Some("user") => "cookie",
                Some("staff") => "cookie, accept-language",
                _ => "accept-language, cookie",
            };
            Says::page(&format!("cache-control: public, max-age=600\nvary: {vary}"))
        });
        let mut got = Vec::new();
        for page in 0..PAGES {
            let target = format!("/page/{page}");
            got.extend(stage.together(&target, &visitors).await);
            got.extend(stage.together(&target, &visitors).await);
            stage.forget();
            got.extend(stage.together(&target, &visitors).await);
        }
        got
    })
    .await
}

/// All are new, and the origin answers all of them at once.
#[tokio::test]
async fn that_nobody_has_asked_for_before() -> anyhow::Result<()> {
    let visitors = crowd(8, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        stage.origin.says(|_| Says::page("cache-control: public, max-age=600\nvary: cookie"));
        let mut got = Vec::new();
        for page in 0..4 {
            got.extend(stage.together(&format!("/page/{page}"), &visitors).await);
        }
        let heard = stage.origin.heard();
        stage.expect(heard == 4 * visitors.len(), || format!("{heard} requests for {} variants", 4 * visitors.len()));
        got
    })
    .await
}

/// Stale variants: each visitor's own is validated, by its own entity tag, and renewed for its own visitor.
#[tokio::test]
async fn that_are_stale() -> anyhow::Result<()> {
    let visitors = crowd(4, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for page in 0..PAGES {
            let target = format!("/page/{page}");
            stage
                .origin
                .says(|_| Says::page("cache-control: public, max-age=60\nage: 70\nvary: cookie\netag: \"{who}\""));
            for (number, visitor) in visitors.iter().enumerate() {
                stage.ask(number, &target, visitor).await;
            }
            if page % 2 == 0 {
                stage.forget();
            }
            stage.origin.says(|heard| {
                let tag = heard.field("if-none-match").to_owned();
                // A tag of another's variant is not known for this visitor.
                if tag == format!("\"{}\"", heard.visitor()) {
                    Says::renewed(heard, "cache-control: public, max-age=60\nvary: cookie")
                } else {
                    Says::page("cache-control: public, max-age=60\nvary: cookie\netag: \"{who}\"")
                }
            });
            got.extend(stage.together(&target, &visitors).await);
            got.extend(stage.together(&target, &visitors).await);
        }
        got
    })
    .await
}

/// Where the class of a page changes from one answer to the next, what was stored before does not answer whom it does not
/// select.
#[tokio::test]
async fn of_a_page_that_begins_to_vary() -> anyhow::Result<()> {
    let visitors = crowd(4, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for page in 0..PAGES {
            let target = format!("/page/{page}");
            stage.origin.says(|_| Says::page("cache-control: public, max-age=60\nage: 70\netag: \"all\""));
            stage.ask(page, &target, &visitor("first")).await;
            if page % 2 == 0 {
                stage.forget();
            }
            stage.origin.says(|_| Says::page("cache-control: public, max-age=60\nvary: cookie\netag: \"{who}\""));
            got.extend(stage.together(&target, &visitors).await);
            stage.forget();
            got.extend(stage.together(&target, &visitors).await);
        }
        got
    })
    .await
}
