//! Read-through: the cache asks the database itself, once for all who want the same row, and once for many rows.
//!
//! `cargo run --release -p sandbar --example read_through`

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use sandbar::Sandbar;
use sandbar::barrier::Purge;
use sandbar::values::{Fresh, Keep, Values};
use serde::{Deserialize, Serialize};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("{}", run().await?.join("\n"));
    Ok(())
}

pub(crate) async fn run() -> anyhow::Result<Vec<String>> {
    let sandbar = Sandbar::builder().native_only().build()?;
    let shop = Shop::open(&sandbar)?;

    let callers = (0..10).map(|_| shop.product("tea"));
    let answers = futures_util::future::try_join_all(callers).await?;
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    let mut seen = vec![format!("10 callers, {} query", shop.queries())];

    let products = shop.products(&["tea", "coffee", "salt", "gold"]).await?;
    let mut names: Vec<_> = products.keys().cloned().collect();
    names.sort_unstable();
    seen.push(format!("{} known, {} queries", names.join(", "), shop.queries()));

    sandbar.purge("default", &[Purge::surrogate_key("department:drinks")]).await?;
    shop.products(&["tea", "coffee", "salt"]).await?;
    seen.push(format!("{} queries after a department was purged", shop.queries()));
    sandbar.drain().await;
    Ok(seen)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    department: String,
    pence: u32,
}

#[derive(Clone)]
struct Shop {
    products: Values<Product>,
    database: Arc<Mutex<Connection>>,
    queries: Arc<AtomicUsize>,
}

impl Shop {
    fn open(sandbar: &Sandbar) -> anyhow::Result<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE products (name TEXT PRIMARY KEY, department TEXT, pence INTEGER);
             INSERT INTO products VALUES ('tea', 'drinks', 495), ('coffee', 'drinks', 695), ('salt', 'food', 95)",
        )?;
        let products = sandbar.values("default", "products")?;
        Ok(Self { products, database: Arc::new(Mutex::new(database)), queries: Arc::default() })
    }

    async fn product(&self, name: &str) -> anyhow::Result<Option<Arc<Product>>> {
        let (shop, wanted) = (self.clone(), name.to_owned());
        let load = async move || {
            let row = shop.query(vec![wanted]).await?.into_values().next();
            anyhow::Ok(row.unwrap_or_else(Fresh::absent))
        };
        Ok(self.products.get_or_load(name, load).await?)
    }

    async fn products(&self, names: &[&str]) -> anyhow::Result<HashMap<String, Arc<Product>>> {
        let (shop, names) = (self.clone(), names.iter().map(|name| (*name).to_owned()));
        let load = move |wanted| {
            let shop = shop.clone();
            async move { shop.query(wanted).await }
        };
        Ok(self.products.get_or_load_many(names, load).await?)
    }

    /// Rows by name, each with the surrogate key of its department. A driver that blocks has threads of its own.
    async fn query(&self, names: Vec<String>) -> anyhow::Result<HashMap<String, Fresh<Product>>> {
        let shop = self.clone();
        tokio::task::spawn_blocking(move || {
            shop.queries.fetch_add(1, Ordering::SeqCst);
            let database = shop.database.lock().expect("no panic");
            let mut statement = database.prepare("SELECT department, pence FROM products WHERE name = ?1")?;
            let mut found = HashMap::new();
            for name in names {
                let row = |row: &rusqlite::Row<'_>| Ok(Product { department: row.get(0)?, pence: row.get(1)? });
                if let Some(product) = statement.query_row([&name], row).optional()? {
                    let key = format!("department:{}", product.department);
                    let keep = Keep::fresh_for(Duration::from_secs(600)).surrogate_key(key);
                    found.insert(name, Fresh::value(product).keep(keep));
                }
            }
            anyhow::Ok(found)
        })
        .await?
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}
