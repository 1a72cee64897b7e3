//! Instants as operators write them.

use crate::domain::time::Timestamp;

/// Reads a day, which is where it begins (UTC), or an instant.
///
/// # Errors
/// When it is neither, or not between the years 1970 and 9999.
pub fn parse_instant(text: &str) -> Result<Timestamp, String> {
    let instant = match text.parse::<jiff::civil::Date>() {
        // A date alone; the text of an instant begins with one.
        Ok(date) if text.len() == 10 => date
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|zoned| zoned.timestamp()),
        Ok(_) | Err(_) => text.parse::<jiff::Timestamp>(),
    };
    let instant = instant.map_err(|_| {
        "a day such as 2026-11-01, or an hour such as 2026-11-01T05:00:00Z, is wanted".to_owned()
    })?;
    Timestamp::from_micros(instant.as_microsecond())
        .ok_or_else(|| "it must be between the years 1970 and 9999".to_owned())
}
