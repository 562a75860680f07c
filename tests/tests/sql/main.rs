//! Values over tables of SQLite and PostgreSQL, real ones, in good days and bad ones.

mod backed;
mod databases;
mod nodes;
mod outbox;
mod rows;
mod trouble;

use serde::{Deserialize, Serialize};

/// What the tables hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Product {
    name: String,
    price: i64,
    note: Option<String>,
}

fn product(name: &str, price: i64) -> Product {
    Product { name: name.to_owned(), price, note: None }
}
