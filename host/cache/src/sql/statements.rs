//! The statements by which a store reads and writes.

use std::sync::Arc;

use super::engine::Dialect;

/// The statements by which rows are read and, if they are to be, written.
///
/// | statement | parameters | returns |
/// |---|---|---|
/// | `read` | the keys: in PostgreSQL `$1`, a `text[]`; in SQLite `?1`, a JSON array for `json_each` | columns `key` (text), `version` (an integer of 64 bits) and `content` (a JSON object as text), a row per key that is there |
/// | [`put`](Writing::put), [`insert`](Writing::insert) | 1: key, 2: content | the row's new version; no row from `insert` where the key is there already |
/// | [`update`](Writing::update) | 1: key, 2: content, 3: version | the row's new version; no row where it has another |
/// | [`delete`](Writing::delete) | 1: key | the version of the row that is gone; no row where there was none |
/// | [`delete_version`](Writing::delete_version) | 1: key, 2: version | the same; no row where it has another version |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statements {
    pub(super) read: String,
    pub(super) writing: Option<Writing>,
}

/// The statements that write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Writes a row, whether it is there or not.
    pub put: String,
    /// Writes a row that is not there.
    pub insert: String,
    /// Writes a row of a certain version.
    pub update: String,
    /// Removes a row.
    pub delete: String,
    /// Removes a row of a certain version.
    pub delete_version: String,
}

impl Statements {
    /// Reads with this statement, and writes nothing.
    pub fn reading(read: impl Into<String>) -> Self {
        Self { read: read.into(), writing: None }
    }

    /// Writes with these.
    #[must_use]
    pub fn writing(self, writing: Writing) -> Self {
        Self { writing: Some(writing), ..self }
    }
}

/// The statements as they are run.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) rows: Arc<str>,
    pub(super) versions: Arc<str>,
    pub(super) writing: Option<ReadyWriting>,
}

#[derive(Clone, Debug)]
pub(super) struct ReadyWriting {
    pub(super) put: Arc<str>,
    pub(super) insert: Arc<str>,
    pub(super) update: Arc<str>,
    pub(super) delete: Arc<str>,
    pub(super) delete_version: Arc<str>,
}

impl Ready {
    /// Bounds what is read, whatever the statement says: in bytes of content, and in rows.
    pub(super) fn new(statements: &Statements, dialect: Dialect) -> Self {
        let read = statements.read.trim().trim_end_matches(';');
        // The line's end closes a comment.
        let (rows, versions) = match dialect {
            Dialect::Postgres => {
                let length = "octet_length(r.content::text)::bigint";
                let content = format!("CASE WHEN {length} <= $2::bigint THEN r.content::text END, {length}");
                let from = format!("FROM ({read}\n) AS r LIMIT $3::bigint");
                let least = "NULL::text, nullif($2::bigint, $2::bigint)";
                (
                    format!("SELECT r.key::text, r.version::bigint, {content} {from}"),
                    format!("SELECT r.key::text, r.version::bigint, {least} {from}"),
                )
            }
            Dialect::Sqlite => {
                let length = "length(CAST(r.content AS BLOB))";
                let content = format!("CASE WHEN {length} <= ?2 THEN CAST(r.content AS TEXT) END, {length}");
                let from = format!("FROM ({read}\n) AS r LIMIT ?3");
                (
                    format!("SELECT CAST(r.key AS TEXT), r.version, {content} {from}"),
                    format!("SELECT CAST(r.key AS TEXT), r.version, NULL, nullif(?2, ?2) {from}"),
                )
            }
        };
        let writing = statements.writing.as_ref().map(|writing| ReadyWriting {
            put: writing.put.as_str().into(),
            insert: writing.insert.as_str().into(),
            update: writing.update.as_str().into(),
            delete: writing.delete.as_str().into(),
            delete_version: writing.delete_version.as_str().into(),
        });
        Self { rows: rows.into(), versions: versions.into(), writing }
    }

    pub(super) fn all(&self) -> Vec<Arc<str>> {
        let mut all = vec![Arc::clone(&self.rows), Arc::clone(&self.versions)];
        if let Some(ReadyWriting { put, insert, update, delete, delete_version }) = &self.writing {
            all.extend([put, insert, update, delete, delete_version].map(Arc::clone));
        }
        all
    }
}
