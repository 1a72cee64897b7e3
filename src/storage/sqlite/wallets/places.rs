//! Where the transactions of a wallet stand in the ledger, which keeps those of all wallets as they come.
//!
//! Sorted by wallet, each would be on a page of its own to write. So rows are appended, and each says where two before it
//! stand: the number before, and the number that is left of its own without the lowest bit that is set (8 of 12, 12 of 14).
//! From any number an earlier one is found in few steps: by the second while that does not lead too far, else by the first.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rusqlite::{CachedStatement, Connection, Row};

use super::super::columns::{corrupt, json, read_json};
use super::read::text;
use crate::domain::wallet::WalletKey;
use crate::storage::wallets::{PostedColumns, key_columns};
use crate::storage::{CustomerNo, StoreError};

/// How many transactions a wallet has, and where those stand that are found from the newest by taking the lowest bit of
/// its number away again and again, the newest last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Places {
    number: i64,
    at: Vec<i64>,
}

impl Places {
    /// Reads a column: the number, then the places.
    pub(super) fn read(column: &str) -> Result<Self, StoreError> {
        let mut at: Vec<i64> = read_json("wallets", column)?;
        if at.is_empty() {
            return Ok(Self::default());
        }
        let number = at.remove(0);
        if at.len() != bits(number) {
            return Err(corrupt("wallets", format!("places are {column}")));
        }
        Ok(Self { number, at })
    }

    pub(in super::super) fn column(&self) -> String {
        let mut column = Vec::with_capacity(1 + self.at.len());
        column.push(self.number);
        column.extend(&self.at);
        json(&column)
    }

    /// Returns where the newest transaction stands.
    pub(super) fn newest(&self) -> Option<i64> {
        self.at.last().copied()
    }

    /// Prepares for the next number; returns where the transactions stand that it is to name: `prev` and `back`.
    fn make_room(&mut self) -> (Option<i64>, Option<i64>) {
        let prev = self.newest();
        self.number += 1;
        self.at.truncate(bits(self.number) - 1);
        (prev, self.newest())
    }
}

/// Returns how many bits of a number are set.
const fn bits(number: i64) -> usize {
    number.count_ones() as usize
}

/// Reads the places of a wallet; `None`: there is no such wallet.
pub(in super::super) fn places(
    conn: &Connection,
    wallet: (CustomerNo, &str, &str),
) -> Result<Option<Places>, StoreError> {
    let sql = "SELECT places FROM books
         WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND kind = 0 AND id = ''";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(wallet)?;
    let row = rows.next()?;
    row.map(|row| Places::read(text("wallets", row, 0)?))
        .transpose()
}

/// Most wallets whose places the writer keeps at hand.
const WALLETS_KEPT: usize = 65_536;

/// The places of wallets that the writer wrote lately. Emptied after a rollback, which takes transactions back.
#[derive(Default)]
pub(in super::super) struct Ledgers {
    known: HashMap<CustomerNo, BTreeMap<WalletKey, Places>, foldhash::fast::RandomState>,
    wallets: usize,
}

impl Ledgers {
    pub(in super::super) fn clear(&mut self) {
        self.known.clear();
        self.wallets = 0;
    }

    /// Forgets all when there are many. Not amid a transaction: what that appended is in no row yet.
    pub(super) fn stay_few(&mut self) {
        if self.wallets >= WALLETS_KEPT {
            self.clear();
        }
    }

    /// Returns the places of a wallet, of which there may be nothing yet.
    pub(super) fn of(
        &mut self,
        conn: &Connection,
        no: CustomerNo,
        wallet: &WalletKey,
    ) -> Result<&mut Places, StoreError> {
        match self.known.entry(no).or_default().entry(wallet.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let (part, unit) = key_columns(wallet);
                let found = places(conn, (no, part, unit))?;
                self.wallets += 1;
                Ok(new.insert(found.unwrap_or_default()))
            }
        }
    }
}

/// Appends transactions to the ledger.
pub(in super::super) struct Appending<'a> {
    conn: &'a Connection,
    statement: CachedStatement<'a>,
}

impl<'a> Appending<'a> {
    pub(in super::super) fn new(conn: &'a Connection) -> Result<Self, StoreError> {
        let sql = "INSERT INTO ledger VALUES
            (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        Ok(Self {
            conn,
            statement: conn.prepare_cached(sql)?,
        })
    }

    /// Appends the next transaction of a wallet.
    pub(in super::super) fn append(
        &mut self,
        (no, part, unit): (CustomerNo, &str, &str),
        places: &mut Places,
        posted: &PostedColumns<'_>,
    ) -> Result<(), StoreError> {
        if posted.number != places.number + 1 {
            return Err(StoreError::Constraint(format!(
                "transaction {} of a wallet would follow {}",
                posted.number, places.number
            )));
        }
        let (prev, back) = places.make_room();
        let statement = &mut self.statement;
        statement.raw_bind_parameter(1, no)?;
        statement.raw_bind_parameter(2, part)?;
        statement.raw_bind_parameter(3, unit)?;
        statement.raw_bind_parameter(4, posted.number)?;
        statement.raw_bind_parameter(5, posted.time)?;
        statement.raw_bind_parameter(6, posted.cause)?;
        statement.raw_bind_parameter(7, posted.body)?;
        statement.raw_bind_parameter(8, posted.available)?;
        statement.raw_bind_parameter(9, posted.held)?;
        statement.raw_bind_parameter(10, posted.receivable)?;
        statement.raw_bind_parameter(11, prev)?;
        statement.raw_bind_parameter(12, back)?;
        statement.raw_execute()?;
        places.at.push(self.conn.last_insert_rowid());
        Ok(())
    }
}

/// What leads to a transaction and on from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) place: i64,
    pub(super) number: i64,
    pub(super) time: i64,
    pub(super) prev: Option<i64>,
    back: Option<i64>,
}

/// Goes from place to place.
pub(super) struct Walk<'a> {
    statement: CachedStatement<'a>,
    #[cfg(test)]
    visited: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(conn: &'a Connection) -> Result<Self, StoreError> {
        let sql = "SELECT place, number, time, prev, back, cause, body, available, held, receivable
             FROM ledger WHERE place = ?1";
        Ok(Self {
            statement: conn.prepare_cached(sql)?,
            #[cfg(test)]
            visited: 0,
        })
    }

    /// Shows the row at a place, for [`spot`] and [`columns`].
    pub(super) fn visit<T>(
        &mut self,
        place: i64,
        see: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        {
            self.visited += 1;
        }
        let mut rows = self.statement.query([place])?;
        let row = rows
            .next()?
            .ok_or_else(|| corrupt("ledger", format!("nothing stands at place {place}")))?;
        see(row)
    }

    /// Returns the first transaction, down from a place, for which something is true that is true for all after it; `None`:
    /// it is not even true for the one at the place.
    pub(super) fn first(
        &mut self,
        from: i64,
        is_reached: impl Fn(&Spot) -> bool,
    ) -> Result<Option<Spot>, StoreError> {
        let mut found = None;
        let mut next = [Some(from), None];
        loop {
            let mut moved = None;
            for place in next.into_iter().flatten() {
                let spot = self.visit(place, spot)?;
                if is_reached(&spot) {
                    moved = Some(spot);
                    break;
                }
            }
            let Some(spot) = moved else {
                return Ok(found);
            };
            found = Some(spot);
            let prev = spot.prev.filter(|prev| Some(*prev) != spot.back);
            next = [spot.back, prev];
        }
    }
}

/// Returns what leads on from a transaction.
pub(super) fn spot(row: &Row<'_>) -> Result<Spot, StoreError> {
    let spot = Spot {
        place: row.get(0)?,
        number: row.get(1)?,
        time: row.get(2)?,
        prev: row.get(3)?,
        back: row.get(4)?,
    };
    // Who follows a place would never arrive if one led back up.
    if spot.prev.max(spot.back) >= Some(spot.place) {
        let place = spot.place;
        return Err(corrupt(
            "ledger",
            format!("place {place} leads to a later one"),
        ));
    }
    Ok(spot)
}

/// Returns what a transaction is.
pub(super) fn columns<'r>(row: &'r Row<'_>) -> Result<PostedColumns<'r>, StoreError> {
    Ok(PostedColumns {
        number: row.get(1)?,
        time: row.get(2)?,
        cause: text("ledger", row, 5)?,
        body: text("ledger", row, 6)?,
        available: row.get(7)?,
        held: row.get(8)?,
        receivable: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::open::empty;

    /// Returns a ledger in which two wallets take turns, and the places of both.
    fn ledger(transactions: i64) -> (Connection, [Places; 2]) {
        let conn = empty();
        let mut both = [Places::default(), Places::default()];
        {
            let mut appending = Appending::new(&conn).unwrap();
            for number in 1..=transactions {
                for (part, places) in ["", "agent"].into_iter().zip(&mut both) {
                    let row = PostedColumns {
                        number,
                        time: number * 10,
                        cause: "debit",
                        body: part,
                        available: 0,
                        held: 0,
                        receivable: 0,
                    };
                    appending.append((1, part, "USD"), places, &row).unwrap();
                }
            }
        }
        (conn, both)
    }

    #[test]
    fn any_number_is_found_from_any_later_one_in_few_steps() {
        let (conn, [own, agents]) = ledger(700);
        assert_eq!((own.number, agents.number), (700, 700));
        let mut walk = Walk::new(&conn).unwrap();
        for (places, parity) in [(&own, 1), (&agents, 0)] {
            let newest = places.newest().unwrap();
            for number in 1..=700 {
                walk.visited = 0;
                let found = walk.first(newest, |spot| spot.number >= number).unwrap();
                let found = found.unwrap();
                assert_eq!(found.number, number);
                assert_eq!(found.place % 2, parity, "it is of the other wallet");
                assert!(walk.visited <= 60, "{} for {number}", walk.visited);
                let by_time = walk.first(newest, |spot| spot.time > number * 10 - 10);
                assert_eq!(by_time.unwrap().unwrap().number, number);
            }
            let none = walk.first(newest, |spot| spot.number > 700).unwrap();
            assert!(none.is_none());
        }
    }

    #[test]
    fn places_come_back_from_their_column_and_stay_few() {
        let (conn, [places, _]) = ledger(700);
        let number = "SELECT number FROM ledger WHERE place = ?1";
        let number = |place: &i64| conn.query_row(number, [place], |row| row.get(0));
        let numbers: Vec<i64> = places
            .at
            .iter()
            .map(|place| number(place).unwrap())
            .collect();
        assert_eq!(numbers, [512, 640, 672, 688, 696, 700]);
        assert_eq!(Places::read(&places.column()).unwrap(), places);
        assert_eq!(Places::read("[]").unwrap(), Places::default());
        for wrong in ["{}", "[3,1]", "[1,1,2]", "[1]"] {
            assert!(Places::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_next_number_is_appended() {
        let (conn, [mut places, _]) = ledger(3);
        let mut appending = Appending::new(&conn).unwrap();
        for number in [0, 1, 3, 5] {
            let row = PostedColumns {
                number,
                time: 0,
                cause: "debit",
                body: "",
                available: 0,
                held: 0,
                receivable: 0,
            };
            let outcome = appending.append((1, "", "USD"), &mut places, &row);
            assert!(
                matches!(outcome, Err(StoreError::Constraint(_))),
                "{number}"
            );
        }
    }

    #[test]
    fn a_place_that_leads_to_a_later_one_is_told() {
        for column in ["prev", "back"] {
            let (conn, [own, _]) = ledger(9);
            let round = format!("UPDATE ledger SET {column} = place WHERE number = 8");
            conn.execute_batch(&round).unwrap();
            let mut walk = Walk::new(&conn).unwrap();
            let outcome = walk.first(own.newest().unwrap(), |spot| spot.number >= 2);
            assert!(
                matches!(outcome, Err(StoreError::Corrupt { .. })),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn a_transaction_that_is_gone_is_told() {
        let (conn, [own, _]) = ledger(9);
        conn.execute_batch("DELETE FROM ledger WHERE number = 8 AND subaccount = ''")
            .unwrap();
        let mut walk = Walk::new(&conn).unwrap();
        let outcome = walk.first(own.newest().unwrap(), |spot| spot.number >= 8);
        assert!(
            matches!(outcome, Err(StoreError::Corrupt { .. })),
            "{outcome:?}"
        );
    }
}
