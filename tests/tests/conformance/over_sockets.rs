//! Runs scenarios against a gateway and an origin, over sockets and in real time.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use sandbar::clock::{Clock, SystemClock, Timestamp};
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply, Seen};
use sandbar_tests::wait::{eventually, settled};

use super::scenario::{Got, Says, Scenario, Step, fields, judge};

/// What the origin is to say next, and what it has heard, by host.
type Script = Arc<Mutex<HashMap<String, (Option<Says>, Vec<HeaderMap>)>>>;

fn reply(script: &Script, seen: &Seen, start: Timestamp) -> Reply {
    let host = seen.field("host").unwrap_or_default();
    let mut script = script.lock();
    let (says, heard) = script.entry(host.to_owned()).or_default();
    heard.push(seen.fields.clone());
    let Some(Says::Response { status, fields: said, body }) = says.take() else { return Reply::none() };
    let reply = Reply::status(status).content(body);
    fields(said, start).iter().fold(reply, |reply, (name, value)| reply.field(name.as_str(), value.to_str().unwrap()))
}

async fn answered(gateway: &TestGateway, host: &str, step: &Step, start: Timestamp) -> Got {
    let asked = fields(step.with, start);
    let asked: Vec<_> = asked.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let content = if matches!(step.method, "GET" | "HEAD" | "TRACE") { "" } else { "content" };
    let response = gateway.client(host).open(step.method, step.target, &asked, content).await.unwrap();
    let (head, content) = response.into_parts();
    let body = http_body_util::BodyExt::collect(content).await;
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Got { status: head.status.as_u16(), fields: head.headers, body: body.map_err(|error| error.to_string()) }
}

/// Of what is under test here, neither a retry nor an open breaker is a part.
const UNPROTECTED: &str = "[tenant.protect]\nretry.times_max = 0\nbreaker.enabled = false";

/// Runs those that let no time pass, each under a host name of its own. `settings` go into the tenant's table.
pub(crate) async fn run(settings: &str, scenarios: &[Scenario]) -> anyhow::Result<()> {
    let start = SystemClock.now();
    let script = Script::default();
    let told = Arc::clone(&script);
    let origin = Origin::start(move |seen| reply(&told, seen, start)).await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), &format!("{settings}\n{UNPROTECTED}"))).await?;
    let now = scenarios.iter().filter(|scenario| scenario.steps.iter().all(|step| step.after.is_zero()));
    for (number, Scenario { about, steps }) in now.enumerate() {
        let host = format!("s{number}.test");
        for (number, step) in steps.iter().enumerate() {
            script.lock().insert(host.clone(), (step.says.clone(), Vec::new()));
            let got = answered(&gateway, &host, step, start).await;
            if step.behind {
                eventually("the origin is asked behind", async || !script.lock()[&host].1.is_empty()).await;
            }
            settled(gateway.cache()).await;
            let heard = script.lock().remove(&host).unwrap_or_default().1;
            judge(&format!("{about}, over sockets, step {number}"), step, start, &got, &heard);
        }
    }
    Ok(())
}
