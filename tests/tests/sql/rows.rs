//! What is read and written, without a cache in front.

use sandbar::sql::{SqlStore, Statements, Table};
use sandbar::values::{Change, Expected, Outcome, Row, Store, StoreError};
use tokio::task::JoinSet;

use super::databases::{CONTENT_BYTES_MAX, all};
use super::{Product, product};

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

async fn read(store: &SqlStore<Product>, key: &str) -> Result<Option<Row<Product>>, StoreError> {
    Ok(store.read(&keys(&[key])).await?.remove(key))
}

async fn write(
    store: &SqlStore<Product>,
    key: &str,
    value: Option<Product>,
    expected: Expected,
) -> Result<Outcome, StoreError> {
    store.write(&[Change { key: key.to_owned(), value, expected }]).await.remove(0)
}

fn version(outcome: Result<Outcome, StoreError>) -> i64 {
    match outcome {
        Ok(Outcome::Done(Some(version))) => version,
        other => panic!("it is not written: {other:?}"),
    }
}

#[tokio::test]
async fn rows_are_read_by_key_and_by_list() -> anyhow::Result<()> {
    for database in all()? {
        database
            .run("INSERT INTO products VALUES ('tea', 7, 'Tea', 495, NULL), ('o''brien', 8, 'Ö \"x\" \\', 1, '')")?;
        let store = database.products().await?;
        let found = store.read(&keys(&["tea", "o'brien", "none", "'; DROP TABLE products; --"])).await?;
        assert_eq!(found.len(), 2, "{}", database.name());
        assert_eq!(found["tea"], Row { value: product("Tea", 495), version: 7 });
        let expected = Product { note: Some(String::new()), ..product("Ö \"x\" \\", 1) };
        assert_eq!(found["o'brien"], Row { value: expected, version: 8 });
        let versions = store.versions(&keys(&["tea", "none"])).await?;
        assert_eq!(versions.into_iter().collect::<Vec<_>>(), [("tea".to_owned(), 7)]);
        assert!(store.read(&[]).await?.is_empty());
        let many: Vec<String> = (0..12_000).map(|n| format!("k{n}")).chain(keys(&["tea"])).collect();
        assert_eq!(store.read(&many).await?.len(), 1, "in several statements");
    }
    Ok(())
}

#[tokio::test]
async fn a_write_replaces_the_version_that_it_expects_and_no_other() -> anyhow::Result<()> {
    for database in all()? {
        let store = database.products().await?;
        let first = version(write(&store, "tea", Some(product("Tea", 1)), Expected::Absent).await);
        let again = write(&store, "tea", Some(product("Tea", 2)), Expected::Absent).await?;
        assert_eq!(again, Outcome::Conflict, "{}", database.name());
        let second = version(write(&store, "tea", Some(product("Tea", 3)), Expected::Version(first)).await);
        assert!(second > first);
        let late = write(&store, "tea", Some(product("Tea", 4)), Expected::Version(first)).await?;
        assert_eq!(late, Outcome::Conflict);
        assert_eq!(read(&store, "tea").await?, Some(Row { value: product("Tea", 3), version: second }));
        let third = version(write(&store, "tea", Some(product("Tea", 5)), Expected::Any).await);
        assert!(third > second);
        assert_eq!(write(&store, "none", Some(product("x", 1)), Expected::Version(1)).await?, Outcome::Conflict);
        assert_eq!(read(&store, "none").await?, None);

        assert_eq!(write(&store, "tea", None, Expected::Version(second)).await?, Outcome::Conflict);
        assert_eq!(write(&store, "tea", None, Expected::Version(third)).await?, Outcome::Done(None));
        assert_eq!(write(&store, "tea", None, Expected::Version(third)).await?, Outcome::Conflict);
        assert_eq!(write(&store, "tea", None, Expected::Any).await?, Outcome::Done(None), "it is not there, as wanted");
        let anew = version(write(&store, "tea", Some(product("Tea", 6)), Expected::Any).await);
        assert!(![first, second, third].contains(&anew), "no version comes twice");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_batch_each_write_has_an_outcome_of_its_own() -> anyhow::Result<()> {
    for database in all()? {
        let store = database.products().await?;
        let change = |key: &str, price| Change {
            key: key.to_owned(),
            value: Some(product("x", price)),
            expected: Expected::Absent,
        };
        let outcomes = store.write(&[change("a", 1), change("b", -1), change("a", 2), change("c", 3)]).await;
        assert!(matches!(outcomes[0], Ok(Outcome::Done(Some(_)))), "{}: {outcomes:?}", database.name());
        assert!(matches!(&outcomes[1], Err(StoreError::Refused(why)) if why.to_lowercase().contains("check")));
        assert_eq!((&outcomes[2], outcomes.len()), (&Ok(Outcome::Conflict), 4));
        assert!(matches!(outcomes[3], Ok(Outcome::Done(Some(_)))));
    }
    Ok(())
}

#[tokio::test]
async fn of_writers_that_expect_the_same_version_one_wins() -> anyhow::Result<()> {
    const WRITERS: i64 = 6;
    const ROUNDS: i64 = 5;
    for database in all()? {
        let store = database.products().await?;
        version(write(&store, "count", Some(product("count", 0)), Expected::Absent).await);
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                let mut conflicts = 0;
                for _ in 0..ROUNDS {
                    loop {
                        let row = read(&store, "count").await?.expect("it is there");
                        let next = product("count", row.value.price + 1);
                        match write(&store, "count", Some(next), Expected::Version(row.version)).await? {
                            Outcome::Done(_) => break,
                            Outcome::Conflict => conflicts += 1,
                        }
                    }
                }
                Ok::<u32, StoreError>(conflicts)
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        let row = read(&store, "count").await?.expect("it is there");
        assert_eq!(row.value.price, WRITERS * ROUNDS, "{}: no write is lost", database.name());
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_can_not_be_used_are_told_by_key() -> anyhow::Result<()> {
    for database in all()? {
        database.run(&format!(
            "INSERT INTO products VALUES ('long', 1, '{}', 1, NULL), ('tea', 1, 'Tea', 1, NULL)",
            "x".repeat(11_000)
        ))?;
        let store = database.products().await?;
        let error = read(&store, "long").await.expect_err("it is too long");
        assert!(
            matches!(&error, StoreError::TooLarge { key, bytes, bytes_max: CONTENT_BYTES_MAX } if key == "long" && *bytes > 11_000),
            "{}: {error}",
            database.name()
        );
        assert_eq!(store.versions(&keys(&["long"])).await?.len(), 1, "its version can be read");
        let error = write(&store, "tea", Some(product(&"x".repeat(11_000), 1)), Expected::Any).await;
        assert!(matches!(error, Err(StoreError::TooLarge { .. })));
        assert!(read(&store, "tea").await?.is_some(), "others can be read");

        // The same rows as another type.
        let table = Table::new("products", "id", "version", ["name"]);
        let store: SqlStore<std::collections::BTreeMap<String, u32>> = database.table(&table).await?;
        let error = store.read(&keys(&["tea"])).await.expect_err("it is no such value");
        assert!(matches!(&error, StoreError::Malformed { key, .. } if key == "tea"), "{error}");
        let store: SqlStore<u32> = database.table(&table).await?;
        let outcome = store.write(&[Change { key: "n".into(), value: Some(7), expected: Expected::Any }]).await;
        assert!(matches!(&outcome[0], Err(StoreError::Malformed { reason, .. }) if reason.contains("object")));
    }
    Ok(())
}

#[tokio::test]
async fn statements_of_ones_own_take_the_place_of_the_tables() -> anyhow::Result<()> {
    for database in all()? {
        database.run("INSERT INTO products VALUES ('tea', 7, 'Tea', 495, NULL), ('null', 1, 'x', 1, NULL)")?;
        let (wanted, object) = match database.name() {
            "sqlite" => ("IN (SELECT value FROM json_each(?1))", "json_object('name', upper(name), 'price', price)"),
            _ => ("= ANY($1)", "jsonb_build_object('name', upper(name), 'price', price)"),
        };
        let content = format!("CASE WHEN id <> 'null' THEN {object} END");
        let read =
            format!("SELECT id AS key, version, {content} AS content FROM products WHERE id {wanted}; -- all of it");
        let read = read.replace("; -- all of it", " -- all of it");
        let store: SqlStore<Product> = database.statements(&Statements::reading(read)).await?;
        let found = store.read(&keys(&["tea"])).await?;
        assert_eq!(found["tea"].value, product("TEA", 495), "{}", database.name());
        let error = store.read(&keys(&["null"])).await.expect_err("there is no content");
        assert!(error.to_string().contains("NULL"), "{error}");
        let refused = write(&store, "tea", None, Expected::Any).await.expect_err("it only reads");
        assert!(refused.to_string().contains("no statements that write"), "{refused}");

        // One that returns more than it was asked for.
        let all = format!(
            "SELECT 'k' || version AS key, version, {object} AS content FROM products WHERE 'x' {wanted} OR true"
        );
        let store: SqlStore<Product> = database.statements(&Statements::reading(all)).await?;
        let error = store.read(&keys(&["tea"])).await.expect_err("it is not what was asked");
        assert!(matches!(error, StoreError::Schema(_)), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_as_it_was_said_to_be_is_told_when_it_is_opened() -> anyhow::Result<()> {
    for database in all()? {
        for (table, named) in [
            (Table::new("products", "id", "version", ["name", "colour"]), "colour"),
            (Table::new("produce", "id", "version", ["name"]), "produce"),
            (Table::new("products", "id", "revision", ["name"]), "revision"),
        ] {
            let error = database.table::<Product>(&table).await.expect_err("there is none");
            let is_told = matches!(&error, StoreError::Schema(why) if why.contains(named));
            // SQLite takes a quoted name that is no column for text where it stands in an expression.
            assert!(is_told, "{}: {error}", database.name());
        }
        let error = database.statements::<Product>(&Statements::reading("SELEC nothing")).await;
        assert!(matches!(error, Err(StoreError::Schema(_))), "{error:?}");
        let error = database.statements::<Product>(&Statements::reading("SELECT 1 AS key")).await;
        assert!(error.is_err(), "columns are missing");
    }
    Ok(())
}
