//! What SQLite's errors mean to a caller of the store.

use rusqlite::{Error, ErrorCode, ffi};

use super::columns::corrupt;
use crate::storage::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let Error::SqliteFailure(failure, _) = &error else {
            return match error {
                Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::Utf8Error(..)
                | Error::InvalidColumnType(..) => corrupt("database", text),
                _ => Self::Unavailable(text),
            };
        };
        match failure.code {
            ErrorCode::DiskFull | ErrorCode::ReadOnly => Self::Full(text),
            ErrorCode::SystemIoFailure => match failure.extended_code {
                ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => Self::Unavailable(text),
                _ => Self::Full(text),
            },
            ErrorCode::ConstraintViolation => Self::Constraint(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => corrupt("database", text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Whether a flush to disk failed. What the kernel still held may be lost and a second flush would not tell, so
/// nothing that was written since the last good one can be relied on.
pub(super) fn is_failed_flush(error: &Error) -> bool {
    matches!(
        error,
        Error::SqliteFailure(failure, _) if matches!(
            failure.extended_code,
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC
        )
    )
}

/// Ends the process when a flush to disk failed: a restart reads what the disk really holds.
pub(super) fn end_on_failed_flush(error: &Error) {
    if is_failed_flush(error) {
        tracing::error!(%error, "a flush to disk failed, the process ends");
        std::process::abort();
    }
}
