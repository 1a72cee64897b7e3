//! Rows in the text format of COPY.

use std::fmt::Write as _;

use sqlx::PgConnection;

/// Copies rows into a table and its columns, written as `table (column, …)`.
pub(super) async fn copy_in(
    conn: &mut PgConnection,
    into: &str,
    rows: &CopyText,
) -> Result<(), sqlx::Error> {
    let mut copy = conn.copy_in_raw(&format!("COPY {into} FROM STDIN")).await?;
    copy.send(rows.as_bytes()).await?;
    copy.finish().await.map(drop)
}

/// Rows in the making: fields end with a tab, rows with a line feed, and nothing is `\N`.
#[derive(Default)]
pub(super) struct CopyText {
    text: String,
    /// Whether a field stands in the row that is being made.
    has_field: bool,
}

impl CopyText {
    fn next(&mut self) {
        if self.has_field {
            self.text.push('\t');
        }
        self.has_field = true;
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.next();
        let mut rest = value;
        while let Some(at) = rest.find(['\\', '\t', '\n', '\r']) {
            self.text.push_str(&rest[..at]);
            self.text.push_str(match rest.as_bytes()[at] {
                b'\t' => "\\t",
                b'\n' => "\\n",
                b'\r' => "\\r",
                _backslash => "\\\\",
            });
            rest = &rest[at + 1..];
        }
        self.text.push_str(rest);
        self
    }

    pub(super) fn text_or_none(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.none(),
        }
    }

    pub(super) fn number(&mut self, value: i64) -> &mut Self {
        self.next();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    pub(super) fn number_or_none(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.number(value),
            None => self.none(),
        }
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.next();
        self.text.push_str("\\\\x");
        for byte in value {
            let _ = write!(self.text, "{byte:02x}");
        }
        self
    }

    pub(super) fn truth(&mut self, value: bool) -> &mut Self {
        self.text(if value { "t" } else { "f" })
    }

    pub(super) fn none(&mut self) -> &mut Self {
        self.next();
        self.text.push_str("\\N");
        self
    }

    pub(super) fn end(&mut self) {
        self.text.push('\n');
        self.has_field = false;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_copy_is_escaped() {
        let mut rows = CopyText::default();
        rows.text("a\tb\\N\r\n").text("").none().number(-7).end();
        rows.bytes(&[0, 255]).truth(true).text_or_none(None).end();
        assert_eq!(
            std::str::from_utf8(rows.as_bytes()).unwrap(),
            "a\\tb\\\\N\\r\\n\t\t\\N\t-7\n\\\\x00ff\tt\t\\N\n"
        );
    }
}
