//! A table, and the statements that read and write it.

use super::engine::Dialect;
use super::statements::{Statements, Writing};

/// A table whose rows are values: a column that is the key, one that is the version, and those that are the value's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    name: String,
    key: String,
    key_type: String,
    version: String,
    columns: Vec<String>,
}

/// Why a table can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadTable {
    /// A name has other characters than letters, digits, `_` and, between schema and table, one `.`.
    #[error("{what} {name:?} can't be used as it is: give statements of your own (`Statements`)")]
    Name {
        /// What it is the name of.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There are none, or too many.
    #[error("a table has 1 to {COLUMNS_MAX} columns beside key and version, not {0}")]
    Columns(usize),
}

/// Columns at most: an object of more is not made by one call of PostgreSQL's function.
const COLUMNS_MAX: usize = 50;

impl Table {
    /// A table with these columns. The key's has to be unique; the version's is an integer of 64 bits and not NULL.
    pub fn new(
        name: impl Into<String>,
        key: impl Into<String>,
        version: impl Into<String>,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { name: name.into(), key: key.into(), key_type: "text".into(), version: version.into(), columns }
    }

    /// The type of the key's column in PostgreSQL, such as `bigint` or `uuid`; `text` by default. SQLite finds it out itself.
    #[must_use]
    pub fn key_type(self, key_type: impl Into<String>) -> Self {
        Self { key_type: key_type.into(), ..self }
    }

    /// The statements that read and write the table.
    ///
    /// # Errors
    /// Where a name can't be used.
    pub fn statements(&self, dialect: Dialect) -> Result<Statements, BadTable> {
        self.check()?;
        Ok(match dialect {
            Dialect::Sqlite => self.for_sqlite(),
            Dialect::Postgres => self.for_postgres(),
        })
    }

    fn check(&self) -> Result<(), BadTable> {
        let bad = |what, name: &String| BadTable::Name { what, name: name.clone() };
        if self.name.split('.').count() > 2 || !self.name.split('.').all(is_name) {
            return Err(bad("the table's name", &self.name));
        }
        for (what, name) in [("the key", &self.key), ("its type", &self.key_type), ("the version", &self.version)] {
            if !is_name(name) {
                return Err(bad(what, name));
            }
        }
        if let Some(name) = self.columns.iter().find(|name| !is_name(name)) {
            return Err(bad("the column", name));
        }
        let count = self.columns.len();
        if (1..=COLUMNS_MAX).contains(&count) { Ok(()) } else { Err(BadTable::Columns(count)) }
    }

    fn for_postgres(&self) -> Statements {
        let (table, key, version) = (self.quoted(), quoted(&self.key), quoted(&self.version));
        let key_type = &self.key_type;
        let object = self.each(|name| format!("'{name}', t.{}", quoted(name)));
        let columns = self.each(quoted);
        let members = self.each(|name| format!("r.{}", quoted(name)));
        let set = self.each(|name| format!("{} = EXCLUDED.{}", quoted(name), quoted(name)));
        let set_to_members = self.each(|name| format!("{} = r.{}", quoted(name), quoted(name)));
        // A row that is made anew after it was removed does not begin with a version that it had before.
        let first = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let record = format!("jsonb_populate_record(NULL::{table}, $2::text::jsonb) AS r");
        let insert = format!(
            "INSERT INTO {table} AS t ({key}, {version}, {columns}) SELECT $1::text::{key_type}, {first}, {members} FROM {record} \
             ON CONFLICT ({key})"
        );
        let returning = format!("RETURNING t.{version}::bigint");
        let of_key = format!("t.{key} = $1::text::{key_type}");
        Statements::reading(format!(
            "SELECT t.{key}::text AS key, t.{version}::bigint AS version, jsonb_build_object({object})::text AS content \
             FROM {table} AS t WHERE t.{key} = ANY($1::text[]::{key_type}[])"
        ))
        .writing(Writing {
            put: format!("{insert} DO UPDATE SET {set}, {version} = t.{version} + 1 {returning}"),
            insert: format!("{insert} DO NOTHING {returning}"),
            update: format!(
                "UPDATE {table} AS t SET {set_to_members}, {version} = t.{version} + 1 FROM {record} \
                 WHERE {of_key} AND t.{version} = $3::bigint {returning}"
            ),
            delete: format!("DELETE FROM {table} AS t WHERE {of_key} {returning}"),
            delete_version: format!("DELETE FROM {table} AS t WHERE {of_key} AND t.{version} = $2::bigint {returning}"),
        })
    }

    fn for_sqlite(&self) -> Statements {
        let (table, key, version) = (self.quoted(), quoted(&self.key), quoted(&self.version));
        let object = self.each(|name| format!("'{name}', t.{}", quoted(name)));
        let columns = self.each(quoted);
        let member = |name: &str| format!("json_extract(?2, '$.\"{name}\"')");
        let members = self.each(member);
        let set = self.each(|name| format!("{} = excluded.{}", quoted(name), quoted(name)));
        let set_to_members = self.each(|name| format!("{} = {}", quoted(name), member(name)));
        let first = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
        // `WHERE true`, as SQLite would take `ON` for a part of the SELECT.
        let insert = format!(
            "INSERT INTO {table} AS t ({key}, {version}, {columns}) SELECT ?1, {first}, {members} WHERE true ON CONFLICT ({key})"
        );
        let returning = format!("RETURNING {version}");
        Statements::reading(format!(
            "SELECT t.{key} AS key, t.{version} AS version, json_object({object}) AS content \
             FROM {table} AS t WHERE t.{key} IN (SELECT value FROM json_each(?1))"
        ))
        .writing(Writing {
            put: format!("{insert} DO UPDATE SET {set}, {version} = t.{version} + 1 {returning}"),
            insert: format!("{insert} DO NOTHING {returning}"),
            update: format!(
                "UPDATE {table} SET {set_to_members}, {version} = {version} + 1 WHERE {key} = ?1 AND {version} = ?3 {returning}"
            ),
            delete: format!("DELETE FROM {table} WHERE {key} = ?1 {returning}"),
            delete_version: format!("DELETE FROM {table} WHERE {key} = ?1 AND {version} = ?2 {returning}"),
        })
    }

    fn quoted(&self) -> String {
        self.name.split('.').map(quoted).collect::<Vec<_>>().join(".")
    }

    fn each(&self, column: impl Fn(&str) -> String) -> String {
        self.columns.iter().map(|name| column(name)).collect::<Vec<_>>().join(", ")
    }
}

/// Quoted, so that a word of SQL can be a name.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=63).contains(&name.len()) && name.bytes().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_need_care_are_refused() {
        let ok = Table::new("shop.products", "id", "version", ["name", "order"]);
        assert!(ok.statements(Dialect::Postgres).is_ok_and(|s| s.read.contains("\"shop\".\"products\"")));
        for (table, key, column) in [
            ("a.b.c", "id", "name"),
            ("products\"; DROP TABLE x; --", "id", "name"),
            ("products", "id'", "name"),
            ("products", "id", "na me"),
            ("", "id", "name"),
        ] {
            let bad = Table::new(table, key, "version", [column]);
            assert!(matches!(bad.statements(Dialect::Sqlite), Err(BadTable::Name { .. })), "{table} {key} {column}");
        }
        let none: [&str; 0] = [];
        let bad = Table::new("products", "id", "version", none).statements(Dialect::Sqlite);
        assert_eq!(bad, Err(BadTable::Columns(0)));
        let typed = Table::new("products", "id", "version", ["a"]).key_type("text[]); --");
        assert!(typed.statements(Dialect::Postgres).is_err());
    }
}
