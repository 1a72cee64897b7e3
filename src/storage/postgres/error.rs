//! What PostgreSQL's errors mean to a caller of the store.

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use crate::storage::StoreError;
use crate::storage::columns::corrupt;

/// SQLSTATE of a row that no partition takes, and of one that breaks a CHECK.
const CHECK_VIOLATION: &str = "23514";

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let Some(database) = database(&error) else {
            let text = error.to_string();
            return match error {
                Error::ColumnDecode { .. }
                | Error::Decode(_)
                | Error::ColumnIndexOutOfBounds { .. }
                | Error::TypeNotFound { .. }
                | Error::RowNotFound => corrupt("database", text),
                _ => Self::Unavailable(text),
            };
        };
        // Without the place in the server's own source, which says nothing to anybody here.
        let text = format!("{} ({})", database.message(), database.code());
        match database.code() {
            _ if is_conflict(&error) => Self::Conflict(text),
            // No space, an input or output error, and a transaction that may only read.
            "53100" | "58030" | "25006" => Self::Full(text),
            "XX001" | "XX002" => corrupt("database", text),
            // No partition takes the row: another process dropped it. The next try makes it anew.
            CHECK_VIOLATION if is_lost_partition(&error) => Self::Unavailable(text),
            code => match code.get(..2) {
                // Numbers out of range and bytes that text cannot hold; rows that break a rule; rows too long.
                Some("21" | "22" | "23" | "54") => Self::Constraint(text),
                _ => Self::Unavailable(text),
            },
        }
    }
}

fn database(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether no partition took a row. A CHECK that fires has a name, this has none.
pub(super) fn is_lost_partition(error: &Error) -> bool {
    database(error)
        .is_some_and(|error| error.code() == CHECK_VIOLATION && error.constraint().is_none())
}

/// Whether nothing was changed and the same may go well at once: a deadlock, a conflict, a lock that took too long,
/// a connection that was lost, a partition that another process dropped.
pub(super) fn is_passing(error: &Error) -> bool {
    match database(error) {
        Some(database) => {
            matches!(
                database.code(),
                "40001" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03"
            ) || is_lost_partition(error)
        }
        None => matches!(error, Error::Io(_)),
    }
}

/// Whether another transaction got in the way: nothing was changed, and deciding again may go well.
pub(super) fn is_conflict(error: &Error) -> bool {
    database(error).is_some_and(|database| {
        let code = database.code();
        // What has a name of its own is decided to be new, and was not there under the customer's lock: the answer of
        // a request, the version of a catalog.
        let is_taken = code == "23505"
            && matches!(
                database.constraint(),
                Some("answers_pkey" | "catalogs_pkey")
            );
        is_taken || matches!(code, "40001" | "40P01")
    })
}

/// Says what a failed COMMIT means. Only where the database refused it in so many words is it known not to have
/// happened.
pub(super) fn of_commit(error: Error) -> StoreError {
    let refused = database(&error)
        .and_then(|database| database.code().get(..2))
        .is_some_and(|class| matches!(class, "23" | "25" | "40"));
    if refused {
        return error.into();
    }
    StoreError::Unknown(error.to_string())
}
