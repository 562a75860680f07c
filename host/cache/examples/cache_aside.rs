//! Cache-aside: the program asks the cache, then its database, and puts what it has read. A reservation, taken before the
//! database is asked, keeps a slow reader from putting back what a writer has changed meanwhile.
//!
//! `cargo run --release -p sandbar --example cache_aside`

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use sandbar::Sandbar;
use sandbar::values::{Fate, Keep, Lookup, Values};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("{}", run().await?.join("\n"));
    Ok(())
}

pub(crate) async fn run() -> anyhow::Result<Vec<String>> {
    let sandbar = Sandbar::builder().native_only().build()?;
    let shop = Shop::open(&sandbar)?;
    let mut seen = vec![shop.price("tea").await?, shop.price("tea").await?];
    shop.change("tea", 525).await?;
    seen.push(shop.price("tea").await?);

    // A reader that is overtaken by a writer.
    let reservation = shop.prices.begin("tea")?;
    let old = shop.read("tea")?;
    shop.change("tea", 550).await?;
    let fate = reservation.fill(old).await?;
    seen.push(if fate == Fate::Overtaken { "not put back".to_owned() } else { "put back".to_owned() });
    seen.push(shop.price("tea").await?);
    seen.extend([shop.price("coffee").await?, shop.price("coffee").await?]);
    sandbar.drain().await;
    Ok(seen)
}

struct Shop {
    prices: Values<u32>,
    database: Arc<Mutex<Connection>>,
}

impl Shop {
    fn open(sandbar: &Sandbar) -> anyhow::Result<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE prices (name TEXT PRIMARY KEY, pence INTEGER); INSERT INTO prices VALUES ('tea', 495)",
        )?;
        let keep = Keep::fresh_for(Duration::from_secs(600)).absent_for(Duration::from_secs(10));
        let prices = sandbar.values("default", "prices")?.keeping(keep);
        Ok(Self { prices, database: Arc::new(Mutex::new(database)) })
    }

    /// The price, and where it is from.
    async fn price(&self, name: &str) -> anyhow::Result<String> {
        match self.prices.get(name).await? {
            Lookup::Value(pence) => return Ok(format!("{pence} from the cache")),
            Lookup::Absent => return Ok("none, says the cache".to_owned()),
            Lookup::Miss => {}
        }
        let reservation = self.prices.begin(name)?;
        let pence = self.read(name)?;
        // Where it was overtaken, the price is right all the same: it was asked for before the change.
        reservation.fill(pence).await?;
        Ok(pence.map_or("none, says the database".to_owned(), |pence| format!("{pence} from the database")))
    }

    async fn change(&self, name: &str, pence: u32) -> anyhow::Result<()> {
        let sql = "INSERT INTO prices VALUES (?1, ?2) ON CONFLICT DO UPDATE SET pence = ?2";
        self.database.lock().expect("no panic").execute(sql, params![name, pence])?;
        self.prices.delete(name).await?;
        Ok(())
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<u32>> {
        let database = self.database.lock().expect("no panic");
        Ok(database.query_row("SELECT pence FROM prices WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }
}
