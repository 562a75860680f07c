//! The recipe of docs/sql.md for what is committed and not purged, as it stands there.

use std::time::Duration;

use anyhow::Context;
use sandbar::Sandbar;
use sandbar::values::{Keep, Row};

use super::Product;
use super::databases::Database;

/// The blocks of SQL in the page, in their order.
fn blocks() -> anyhow::Result<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md"))?;
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    Ok(blocks.map(str::to_owned).collect())
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_purged_by_the_next_who_comes() -> anyhow::Result<()> {
    let Some(database) = Database::postgres()? else { return Ok(()) };
    let Database::Postgres { server, .. } = &database else { return Ok(()) };
    let [version, outbox, consumer] = &blocks()?[..] else { anyhow::bail!("the page has other blocks") };
    server.run("INSERT INTO products VALUES ('tea', 1, 'Tea', 495, NULL)")?;
    server.run(version)?;
    server.run(outbox)?;
    let sandbar = Sandbar::builder().native_only().build()?;
    let keep = Keep::fresh_for(Duration::from_secs(600));
    let values = sandbar.values::<Row<Product>>("default", "products")?.keeping(keep);
    let products = values.backed_by(database.products().await?);
    assert_eq!(products.get("tea").await?.context("there is tea")?.value.price, 495);

    // Another program writes, commits, and dies before it purges anything.
    server.run("UPDATE products SET price = 525 WHERE id = 'tea'")?;
    let stale = products.get("tea").await?.context("there is tea")?;
    assert_eq!((stale.value.price, stale.version), (495, 1), "nobody has told the cache");

    let mut statements = consumer.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let read = statements.next().context("it reads")?;
    let remove = statements.next_back().context("it removes")?;
    let found = server.run(read)?;
    let (ids, scopes): (Vec<_>, Vec<_>) = found.lines().filter_map(|line| line.split_once('|')).unzip();
    assert_eq!(scopes, ["tea"]);
    for scope in scopes {
        products.values().delete(scope).await?;
    }
    let remove = remove.lines().filter(|line| !line.starts_with("--")).collect::<String>();
    server.run(&remove.replace("$1", &format!("'{{{}}}'", ids.join(","))))?;
    let tea = products.get("tea").await?.context("there is tea")?;
    assert_eq!((tea.value.price, tea.version), (525, 2), "the trigger has given it another version");
    assert_eq!(server.run(read)?, "", "it is told once");

    // A write through the cache is told, too: it does no harm.
    products.put("tea", super::product("Tea", 550), sandbar::values::Expected::Version(2)).await?;
    assert_eq!(server.run(read)?.lines().count(), 1);
    assert_eq!(products.get("tea").await?.context("there is tea")?.version, 3);
    Ok(())
}
