//! A walk over a parsed TOML document that knows where it is and keeps every fault it meets.

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::CatalogFault;
use crate::domain::catalog::path::{join, join_all, with_suggestion};

/// Most faults that are reported; the rest is counted.
const FAULTS_MAX: usize = 200;

/// The faults of one file.
pub(super) struct Faults<'a> {
    source: &'a str,
    found: RefCell<Vec<CatalogFault>>,
    unreported: Cell<usize>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            found: RefCell::new(Vec::new()),
            unreported: Cell::new(0),
        }
    }

    /// Adds one, at a byte of the file.
    pub(super) fn add(&self, path: &str, at: Option<usize>, message: impl Into<String>) {
        if self.is_full() {
            self.leave_out();
            return;
        }
        let line = at.map(|at| self.line(at));
        self.found.borrow_mut().push(CatalogFault {
            path: path.to_owned(),
            line,
            message: message.into(),
        });
    }

    fn leave_out(&self) {
        self.unreported.set(self.unreported.get() + 1);
    }

    /// Whether further faults are only counted; then suggestions are not worth their search either.
    pub(super) fn is_full(&self) -> bool {
        self.found.borrow().len() >= FAULTS_MAX
    }

    fn line(&self, at: usize) -> usize {
        let before = &self.source.as_bytes()[..at.min(self.source.len())];
        before.split(|byte| *byte == b'\n').count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Returns them in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<CatalogFault> {
        let mut faults = self.found.into_inner();
        faults.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
        if self.unreported.get() > 0 {
            faults.push(CatalogFault {
                path: String::new(),
                line: None,
                message: format!("{} more faults are not listed", self.unreported.get()),
            });
        }
        faults
    }
}

/// A value and its place.
pub(super) struct Node<'a> {
    pub(super) path: String,
    at: usize,
    value: &'a DeValue<'a>,
    faults: &'a Faults<'a>,
}

/// A table and its place.
pub(super) struct Table<'a> {
    path: String,
    at: usize,
    entries: &'a DeTable<'a>,
    faults: &'a Faults<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn fault(&self, message: impl Into<String>) {
        self.faults.add(&self.path, Some(self.at), message);
    }

    /// Says what the value should have been.
    fn wrong_type(&self, expected: &str) {
        if self.value.is_float() {
            self.fault(format!(
                "must be {expected}; floats are refused because they are not exact: \
                 quote decimals, as in \"1.5\""
            ));
        } else {
            self.fault(format!(
                "must be {expected}, not a TOML {}",
                self.value.type_str()
            ));
        }
    }

    /// Says that the value is not one of these words, and which was probably meant.
    pub(super) fn unknown<'w>(
        &self,
        message: String,
        word: &str,
        known: impl Iterator<Item = &'w str>,
    ) {
        if self.faults.is_full() {
            self.fault(message);
        } else {
            self.fault(with_suggestion(message, word, known));
        }
    }

    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Reads text; `expected` says what it should hold.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type(expected);
        }
        text
    }

    /// Reads true or false; `expected` says so, and why.
    pub(super) fn boolean(&self, expected: &str) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type(expected);
        }
        value
    }

    /// Reads a whole number of a range.
    pub(super) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.integer_or(range, &expected)
    }

    /// Reads a whole number of a range; `expected` says what else would have been right.
    pub(super) fn integer_or(&self, range: RangeInclusive<i64>, expected: &str) -> Option<i64> {
        let Some(digits) = self.value.as_integer() else {
            self.wrong_type(expected);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(format!("must be {expected}, not {digits}"));
        }
        number
    }

    /// Reads one of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("\"{}\"", words.join("\", \""));
        let word = self.text(&format!("one of {expected}"))?;
        let chosen = choices
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, value)| *value);
        if chosen.is_none() {
            self.unknown(
                format!("must be one of {expected}, not {word:?}"),
                word,
                words.into_iter(),
            );
        }
        chosen
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        self.table_or("a table")
    }

    /// Reads a table; `expected` says what it should hold.
    pub(super) fn table_or(&self, expected: &str) -> Option<Table<'a>> {
        let Some(entries) = self.value.as_table() else {
            self.wrong_type(expected);
            return None;
        };
        Some(Table {
            path: self.path.clone(),
            at: self.at,
            entries,
            faults: self.faults,
        })
    }

    /// Reads a list, of which it returns at most `most` items; `what` names them.
    pub(super) fn list(&self, most: usize, what: &str) -> Option<Vec<Self>> {
        let Some(items) = self.value.as_array() else {
            self.wrong_type(&format!("a list of {what}"));
            return None;
        };
        if items.len() > most {
            self.fault(format!(
                "must hold at most {most} {what}, not {}",
                items.len()
            ));
        }
        let place = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| Self {
            path: format!("{}[{index}]", self.path),
            at: item.span().start,
            value: item.get_ref(),
            faults: self.faults,
        };
        Some(items.iter().take(most).enumerate().map(place).collect())
    }
}

impl<'a> Table<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>, faults: &'a Faults<'a>) -> Self {
        Self {
            path: String::new(),
            at: 0,
            entries,
            faults,
        }
    }

    pub(super) fn fault(&self, message: impl Into<String>) {
        self.faults.add(&self.path, Some(self.at), message);
    }

    /// Reports keys that are not among these.
    pub(super) fn only(&self, known: &[&str]) {
        for (key, node) in self.all() {
            if !known.contains(&key) {
                node.unknown(format!("unknown key {key:?}"), key, known.iter().copied());
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.node(key, value))
    }

    /// Reads a key that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            self.fault(format!("needs {key:?}"));
        }
        node
    }

    /// Reads the only one of these keys that is there.
    pub(super) fn exactly_one(&self, keys: &[&'static str]) -> Option<(&'static str, Node<'a>)> {
        let mut given = keys.iter().filter_map(|key| Some((*key, self.get(key)?)));
        let first = given.next();
        let listed = || format!("\"{}\"", keys.join("\", \""));
        if first.is_none() {
            self.fault(format!("needs one of {}", listed()));
        }
        if let Some((second, node)) = given.next() {
            let (key, _) = first.as_ref()?;
            node.fault(format!(
                "{second:?} cannot stand beside {key:?}: give one of {}",
                listed()
            ));
            return None;
        }
        first
    }

    /// Returns the entries in the order of the file, at most `most` of them; `what` names them.
    pub(super) fn entries(&self, most: usize, what: &str) -> Vec<(&'a str, Node<'a>)> {
        if self.entries.len() > most {
            self.fault(format!(
                "must hold at most {most} {what}, not {}",
                self.entries.len()
            ));
        }
        let mut entries = self.all();
        entries.sort_by_key(|(_, node)| node.at);
        entries.truncate(most);
        entries
    }

    fn all(&self) -> Vec<(&'a str, Node<'a>)> {
        let place = |(key, value): (&'a toml::Spanned<_>, _)| {
            let key: &'a toml::Spanned<toml::de::DeString<'a>> = key;
            (key.get_ref().as_ref(), self.node(key, value))
        };
        self.entries.iter().map(place).collect()
    }

    fn node(
        &self,
        key: &'a toml::Spanned<toml::de::DeString<'a>>,
        value: &'a toml::Spanned<DeValue<'a>>,
    ) -> Node<'a> {
        Node {
            path: join(&self.path, key.get_ref()),
            at: key.span().start,
            value: value.get_ref(),
            faults: self.faults,
        }
    }

    /// Adds a fault at the place of these keys, or as near to it as the file goes.
    pub(super) fn fault_at(&self, keys: &[&str], message: &dyn Fn() -> String) {
        if self.faults.is_full() {
            self.faults.leave_out();
            return;
        }
        let mut at = self.at;
        let mut entries = Some(self.entries);
        for key in keys {
            let Some((key, value)) = entries.and_then(|table| table.get_key_value(*key)) else {
                break;
            };
            at = key.span().start;
            entries = value.get_ref().as_table();
        }
        self.faults.add(&join_all(keys), Some(at), message());
    }
}
