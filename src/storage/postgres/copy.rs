//! `COPY … FROM STDIN` in PostgreSQL's binary format: the fastest way in for many rows, see "Binary Format" on
//! <https://www.postgresql.org/docs/current/sql-copy.html>.

use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;

/// What every copy begins with: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with, in the place of a row's number of columns.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Rows are handed on in pieces of about so many bytes.
const PIECE: usize = 256 * 1024;

/// Rows on their way into a table.
pub(super) struct Copy<'c> {
    sink: PgCopyIn<&'c mut PgConnection>,
    columns: i16,
    buffer: Vec<u8>,
}

/// One row: its columns are added in the order in which the statement names them.
pub(super) struct CopyRow<'b>(&'b mut Vec<u8>);

impl<'c> Copy<'c> {
    /// Begins a statement of the form `COPY table (columns) FROM STDIN (FORMAT binary)`.
    pub(super) async fn begin(
        conn: &'c mut PgConnection,
        statement: &str,
    ) -> Result<Self, sqlx::Error> {
        let sink = conn.copy_in_raw(statement).await?;
        let columns = i16::try_from(sink.num_columns()).unwrap_or(i16::MAX);
        let mut buffer = Vec::with_capacity(PIECE + PIECE / 4);
        buffer.extend_from_slice(HEADER);
        Ok(Self {
            sink,
            columns,
            buffer,
        })
    }

    /// Adds a row.
    pub(super) async fn row(
        &mut self,
        fill: impl FnOnce(&mut CopyRow<'_>),
    ) -> Result<(), sqlx::Error> {
        self.buffer.extend_from_slice(&self.columns.to_be_bytes());
        fill(&mut CopyRow(&mut self.buffer));
        if self.buffer.len() >= PIECE {
            self.sink.send(&*self.buffer).await?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the statement. Returns how many rows the table got.
    pub(super) async fn end(mut self) -> Result<u64, sqlx::Error> {
        self.buffer.extend_from_slice(&TRAILER);
        self.sink.send(&*self.buffer).await?;
        self.sink.finish().await
    }
}

impl CopyRow<'_> {
    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        // PostgreSQL refuses a field of more than a gigabyte, long before the length leaves 31 bits.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    pub(super) fn int2(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int4(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int8(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int8_or_null(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int8(value),
            None => self.null(),
        }
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub(super) fn text_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }
}
