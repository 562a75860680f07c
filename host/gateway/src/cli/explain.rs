//! `sandbar explain`: where the response to a request is in a running gateway, what the next such request would get,
//! and why.

use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue};
use sandbar_policy::GuestText;
use serde_json::Value;

use super::admin_client::{AdminArgs, segment};
use super::{Failure, Output};

/// Arguments of `sandbar explain`.
#[derive(Debug, Args)]
#[command(override_usage = "sandbar explain [OPTIONS] [METHOD] <URL>")]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant that answers for the URL.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// A field of the request, such as "accept-language: de". May be repeated.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    field: Vec<(HeaderName, HeaderValue)>,
    /// The request: a URL, with a method before it where that is not GET.
    #[arg(required = true, num_args = 1..=2, value_names = ["METHOD", "URL"])]
    request: Vec<String>,
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{text:?} is no field; write it like \"accept-language: de\"");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = format!("ask-{}", name.trim()).parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}

pub(super) async fn run(args: ExplainArgs, output: Output) -> Result<(), Failure> {
    let (method, url) = match args.request.as_slice() {
        [method, url] => (method.as_str(), url),
        [url] => ("GET", url),
        _ => unreachable!("clap takes one or two"),
    };
    let path = format!("/tenants/{}/explain?method={}&url={}", segment(&args.tenant), segment(method), segment(url));
    let explained = args.admin.client()?.get_with(&path, args.field).await?;
    output.answer(&explained, || lines(method, &explained).join("\n"))?;
    Ok(())
}

/// The explanation for people: what decides first, then what each tier has.
fn lines(method: &str, explained: &Value) -> Vec<String> {
    let class = match text(&explained["class"]) {
        class if class.is_empty() => "no class".to_owned(),
        class => format!("class {class}"),
    };
    let next = &explained["next"];
    let mut lines = vec![
        format!(
            "{method} {}{} (tenant {}, {class})",
            text(&explained["site"]),
            text(&explained["target"]),
            text(&explained["tenant"])
        ),
        format!("writes: {}", text(&explained["strategy"])),
        format!("next: {} by {}: {}", text(&next["cache"]), text(&next["by"]), text(&next["why"])),
    ];
    if next["stale_if_error"] == true {
        lines.push("      served stale if the origin fails".to_owned());
    }
    if !["closed", ""].contains(&text(&next["breaker"]).as_str()) {
        lines.push(format!("      the breaker of the origin is {}", text(&next["breaker"])));
    }
    for place in explained["tiers"].as_array().into_iter().flatten() {
        lines.push(format!("{}: {}", text(&place["tier"]), text(&place["state"])));
        for purge in place["hidden_by"].as_array().into_iter().flatten() {
            lines.push(format!(
                "    purged ({}): {}",
                text(&purge["mode"]),
                GuestText::new(&purge["scope"].to_string())
            ));
        }
        if place["entry"].is_object() {
            lines.extend(entry(&place["entry"]));
        }
    }
    for names in explained["varies_by"].as_array().into_iter().flatten() {
        lines.push(format!("varies by: {}", list(names)));
    }
    for policy in explained["policies"].as_array().into_iter().flatten() {
        let digest = policy["digest"].as_str().map_or("native", |digest| digest.get(..12).unwrap_or(digest));
        lines.push(format!(
            "{} policy: {} ({digest}, bound by {})",
            text(&policy["role"]),
            text(&policy["name"]),
            text(&policy["by"])
        ));
    }
    lines.extend(explained["events"].as_array().into_iter().flatten().map(event));
    lines.push(format!("key: {}", text(&explained["key"])));
    lines
}

/// What has happened, and when.
fn event(event: &Value) -> String {
    let (what, why) = (text(&event["what"]), text(&event["why"]));
    let happened = match what.as_str() {
        "stored" => format!("stored in {}", text(&event["tier"])),
        "promoted" => "put into memory again".to_owned(),
        "not-stored" => format!("not stored ({why})"),
        "left" => format!("left memory ({why})"),
        _ => what,
    };
    let variant = if event["is_of_another_variant"] == true { "; another variant" } else { "" };
    format!("{} ago: {happened}{variant}", span(event["ago_ms"].as_i64().unwrap_or(0)))
}

fn entry(entry: &Value) -> Vec<String> {
    let ms = |name: &str| entry[name].as_i64().unwrap_or(0);
    let fresh = match ms("fresh_for_ms") {
        left if left >= 0 => format!("fresh for {}", span(left)),
        over => format!("stale since {}", span(-over)),
    };
    let mut lines = vec![
        format!("    {} of {} bytes, {} in memory", entry["status"], entry["body_bytes"], entry["weight_bytes"]),
        format!("    age {}, {fresh} of {}", span(ms("age_ms")), span(ms("freshness_lifetime_ms"))),
    ];
    let windows = [("stale-while-revalidate", "stale_while_revalidate_ms"), ("stale-if-error", "stale_if_error_ms")];
    lines.extend(
        windows.iter().filter(|(_, key)| ms(key) > 0).map(|(name, key)| format!("    {name} {}", span(ms(key)))),
    );
    let notes = [
        ("is_part", "a part of the content"),
        ("refreshes_early", "refreshed early"),
        ("is_planned_anew", "planned anew before it is next used"),
        ("is_doubtful", "validated before it is next used"),
    ];
    lines.extend(notes.iter().filter(|(key, _)| entry[key] == true).map(|(_, note)| format!("    {note}")));
    lines.push(match entry["planned_by"].as_str() {
        Some(digest) => format!("    planned by {}", digest.get(..12).unwrap_or(digest)),
        None => "    planned by a native policy".to_owned(),
    });
    if entry["surrogate_keys"].as_array().is_some_and(|keys| !keys.is_empty()) {
        lines.push(format!("    surrogate keys: {}", list(&entry["surrogate_keys"])));
    }
    let fields = entry["fields"].as_array().into_iter().flatten();
    lines.extend(fields.map(|field| format!("    {}: {}", text(&field[0]), text(&field[1]))));
    lines
}

/// A text of the answer on one line: the origin's and the clients' bytes are in it.
fn text(value: &Value) -> String {
    GuestText::new(value.as_str().unwrap_or_default()).to_string()
}

fn list(values: &Value) -> String {
    values.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}

/// A time in the largest units, to the second where it has some.
fn span(ms: i64) -> String {
    let time = Duration::from_millis(ms.unsigned_abs());
    let time = if time.as_secs() > 0 { Duration::from_secs(time.as_secs()) } else { time };
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_reads_as_text_whatever_it_holds() {
        let entry = json!({
            "status": 200, "body_bytes": 7, "weight_bytes": 300, "age_ms": 65_500, "fresh_for_ms": -5_500,
            "freshness_lifetime_ms": 60_000, "surrogate_keys": ["s", "t"], "fields": [["etag", "\"1\""]],
        });
        let purge = json!({ "scope": { "surrogate-key": "s" }, "mode": "soft" });
        let next = json!({ "cache": "fwd=stale", "by": "origin", "why": "because", "breaker": "open" });
        let explained = json!({
            "tenant": "shop", "site": "http://shop.test", "target": "/a\u{1b}[2J", "key": "shop /a", "class": "",
            "strategy": "ttl", "next": next,
            "tiers": [
                { "tier": "l1", "state": "soft-purged", "hidden_by": [purge], "entry": entry },
                { "tier": "disk", "state": "absent" },
            ],
            "varies_by": [["accept", "x-device"]],
            "policies": [{ "role": "freshness", "name": "fresh", "digest": "0123456789abcdef", "by": "api" }],
            "events": [
                { "ago_ms": 65_000, "what": "left", "why": "purged", "is_of_another_variant": true },
                { "ago_ms": 300, "what": "stored", "tier": "l1" },
            ],
        });
        let lines = lines("GET", &explained);
        for part in [
            "writes: ttl",
            "next: fwd=stale by origin: because",
            "the breaker of the origin is open",
            "l1: soft-purged",
            "purged (soft): {\"surrogate-key\":\"s\"}",
            "age 1m 5s, stale since 5s of 1m",
            "surrogate keys: s, t",
            "etag: \"1\"",
            "disk: absent",
            "varies by: accept, x-device",
            "freshness policy: fresh (0123456789ab, bound by api)",
            "1m 5s ago: left memory (purged); another variant",
            "300ms ago: stored in l1",
        ] {
            assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:#?}");
        }
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:#?}");
        assert_eq!(super::lines("GET", &json!({})).len(), 4, "an answer that says nothing");
    }
}
