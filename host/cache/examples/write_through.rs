//! Write-through: a change goes to the database and then into the cache, so that the next reader finds it there. Of changes that
//! overlap neither is cached, as the database alone knows which came last.
//!
//! `cargo run --release -p sandbar --example write_through`

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use sandbar::Sandbar;
use sandbar::values::{Fate, Keep, Reservation, Values};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("{}", run().await?.join("\n"));
    Ok(())
}

pub(crate) async fn run() -> anyhow::Result<Vec<String>> {
    let sandbar = Sandbar::builder().native_only().build()?;
    let profiles = Profiles::open(&sandbar)?;
    profiles.save("ada", "Ada").await?;
    let mut seen = vec![profiles.load("ada").await?];

    // Two changes at the same time: both began before either had written.
    let (one, other) = (profiles.names.begin("ada")?, profiles.names.begin("ada")?);
    for (reservation, name) in [(one, "Ada L."), (other, "Countess Ada")] {
        let fate = profiles.save_with(reservation, "ada", name).await?;
        seen.push(format!("{name}: {fate:?}"));
    }
    seen.extend([profiles.load("ada").await?, profiles.load("ada").await?]);
    sandbar.drain().await;
    Ok(seen)
}

struct Profiles {
    names: Values<String>,
    database: Arc<Mutex<Connection>>,
}

impl Profiles {
    fn open(sandbar: &Sandbar) -> anyhow::Result<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch("CREATE TABLE profiles (id TEXT PRIMARY KEY, name TEXT)")?;
        let names = sandbar.values("default", "profiles")?.keeping(Keep::fresh_for(Duration::from_secs(600)));
        Ok(Self { names, database: Arc::new(Mutex::new(database)) })
    }

    async fn save(&self, id: &str, name: &str) -> anyhow::Result<Fate> {
        self.save_with(self.names.begin(id)?, id, name).await
    }

    /// Writes to the database first. Where the cache can't take the name, the change is made all the same, and what was cached is
    /// purged.
    async fn save_with(&self, reservation: Reservation<String>, id: &str, name: &str) -> anyhow::Result<Fate> {
        let sql = "INSERT INTO profiles VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = ?2";
        self.database.lock().expect("no panic").execute(sql, params![id, name])?;
        Ok(reservation.replace(name.to_owned()).await?.fate)
    }

    /// The name, and where it is from.
    async fn load(&self, id: &str) -> anyhow::Result<String> {
        if let Some(name) = self.names.get(id).await?.into_value() {
            return Ok(format!("{name} from the cache"));
        }
        let (database, wanted) = (Arc::clone(&self.database), id.to_owned());
        let load = async move || {
            let database = database.lock().expect("no panic");
            database.query_row("SELECT name FROM profiles WHERE id = ?1", [&wanted], |row| row.get(0)).optional()
        };
        let name: Option<Arc<String>> = self.names.get_or_load(id, load).await?;
        Ok(name.map_or("nobody".to_owned(), |name| format!("{name} from the database")))
    }
}
