//! What is printed: colours, on a terminal that wants them only, and numbers that people can read.

use std::fmt::{Display, Write as _};
use std::io::IsTerminal as _;

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well, or something came: green.
    Good,
    /// Worth a look, or something changed: yellow.
    Note,
    /// Wrong, or something went: red.
    Bad,
}

/// Colours texts, or leaves them as they are.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    colourful: bool,
}

impl Paint {
    /// Colours what goes to standard output, when that is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colourful: !unwanted && std::io::stdout().is_terminal(),
        }
    }

    /// Colours a text.
    #[must_use]
    pub fn tone(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Note => 33,
            Tone::Bad => 31,
        };
        if self.colourful {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }
}

/// Writes a whole number with commas between thousands.
#[must_use]
pub fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (22_361_870, "22,361,870"),
            (-123_456, "-123,456"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
