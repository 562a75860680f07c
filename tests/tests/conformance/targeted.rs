//! Targeted cache control (RFC 9213), and the targets that an operator names.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, get, scenario};
use super::{over_layer, over_sockets};

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9213 2.2: it takes the place of Cache-Control and Expires, and is passed on",
            [
                get("").origin(200, "Cache-Control: no-store\nExpires: 0\nCDN-Cache-Control: max-age=60", "a"),
                get("").is(200, "a").has("CDN-Cache-Control: max-age=60\nCache-Control: no-store"),
            ],
        ),
        scenario(
            "9213 2.2: where it says less too",
            [
                get("").origin(200, "Cache-Control: max-age=60\nCDN-Cache-Control: max-age=0", "a"),
                get("").origin(200, "Cache-Control: max-age=60\nCDN-Cache-Control: private", "b"),
                get("").origin(200, "Cache-Control: max-age=60\nCDN-Cache-Control: no-store", "c"),
                get("").origin(200, "Expires: @60\nCDN-Cache-Control: no-cache", "d"),
                get("").origin(200, "", "e"),
            ],
        ),
        scenario(
            "9213 2.1: what is no dictionary, or has a value of another type, is not there",
            [
                get("").origin(200, "Cache-Control: no-store\nCDN-Cache-Control: max-age=60, &&&", "a"),
                get("").origin(200, "Cache-Control: no-store\nCDN-Cache-Control: max-age=\"60\"", "b"),
                get("").origin(200, "Cache-Control: no-store\nCDN-Cache-Control:", "c"),
                get("").origin(200, "Cache-Control: max-age=60\nCDN-Cache-Control: max-age =0", "d"),
                get("").is(200, "d"),
            ],
        ),
        scenario(
            "9213 2.1: unknown members and several lines do no harm",
            [
                get("").origin(200, "CDN-Cache-Control: x=(1 2), y;z\nCDN-Cache-Control: max-age=60", "a"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9213 2.2: the age counts as ever",
            [get("").origin(200, "CDN-Cache-Control: max-age=60\nAge: 61", "a"), get("").origin(200, "", "b")],
        ),
        scenario(
            "9213 2.2: a target that is not ours is nothing to us",
            [get("").origin(200, "Shop-Cache-Control: max-age=60", "a"), get("").origin(200, "", "b")],
        ),
    ]
}

#[tokio::test]
async fn over_the_layer() {
    over_layer::run(&TenantConfig::default(), &scenarios()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_gateway() -> anyhow::Result<()> {
    over_sockets::run("", &scenarios()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_names_the_targets() -> anyhow::Result<()> {
    let scenarios = [
        scenario(
            "9213 2.2: the first that is valid",
            [
                get("").origin(200, "CDN-Cache-Control: no-store\nShop-Cache-Control: max-age=60", "a"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9213 2.2: or the next",
            [
                get("").origin(200, "CDN-Cache-Control: max-age=60\nShop-Cache-Control: max-age=60, &", "a"),
                get("").is(200, "a"),
            ],
        ),
    ];
    let targets = vec!["shop-cache-control".into(), "cdn-cache-control".into()];
    over_layer::run(&TenantConfig { targets, ..TenantConfig::default() }, &scenarios).await;
    over_sockets::run("targets = [\"shop-cache-control\", \"cdn-cache-control\"]", &scenarios).await
}
