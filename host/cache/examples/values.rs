//! Values without a server: put under URLs, read by them, and purged by surrogate key.
//!
//! `cargo run --release -p sandbar --example values`

use http::Response;
use http_body_util::BodyExt;
use sandbar::Sandbar;
use sandbar::barrier::Purge;

const SITE: &str = "app://colours";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("{}", run().await?.join(", "));
    Ok(())
}

pub(crate) async fn run() -> anyhow::Result<Vec<String>> {
    let sandbar = Sandbar::builder().native_only().build()?;
    let mut seen = vec![read(&sandbar, "/sky").await?];
    for colour in ["blue", "red"] {
        let value = Response::builder().header("cache-control", "max-age=3600").header("surrogate-key", "weather");
        sandbar.put("default", SITE, "/sky", value.body(colour.as_bytes().to_vec())?).await?;
        seen.push(read(&sandbar, "/sky").await?);
    }
    sandbar.purge("default", &[Purge::surrogate_key("weather")]).await?;
    seen.push(read(&sandbar, "/sky").await?);
    sandbar.drain().await;
    Ok(seen)
}

async fn read(sandbar: &Sandbar, target: &str) -> anyhow::Result<String> {
    let Some(found) = sandbar.get("default", SITE, target).await? else { return Ok("none".to_owned()) };
    let content = found.into_body().collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(String::from_utf8(content.to_bytes().into())?)
}
