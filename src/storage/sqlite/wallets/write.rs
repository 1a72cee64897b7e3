//! Writing what changed in wallets.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection};

use super::super::columns::json;
use super::super::marks::Chain;
use super::super::names::{Numbers, Reading};
use super::places::{Appending, Places};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{BookChanges, Draw, Grant, Hold, Posted, WalletHead, WalletKey};
use crate::storage::wallets::{
    PostedColumns, cause_column, grant_body, hold_body, hold_state_column, is_open, key_columns,
    payment_column, posted_body,
};
use crate::storage::{CustomerNo, StoreError};

/// Writes a wallet whose terms stay as they are: no index is touched.
const USE_HEAD: &str = "UPDATE books SET number = ?4, receivable = ?5, places = ifnull(?8, places)
    WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND kind = 0 AND id = ''
      AND body = ?6 AND +due_time IS ?7";
const HEAD: &str = "INSERT INTO books
        (customer_no, subaccount, unit, kind, id, state, number, receivable, body, due_time, places)
    VALUES (?1, ?2, ?3, 0, '', 0, ?4, ?5, ?6, ?7, ifnull(?8, '[]'))
    ON CONFLICT (customer_no, subaccount, unit, kind, id) DO UPDATE SET number = excluded.number,
    receivable = excluded.receivable, body = excluded.body, due_time = excluded.due_time,
    places = ifnull(?8, places)";

/// Writes a grant that stays open: no index is touched. The `+` keeps the planner from asking whether a
/// partial index would do, which it would ask anew, by preparing the statement again, for each value that is bound.
const USE_GRANT: &str =
    "UPDATE books SET used = ?6, held = ?7, lapsed = ?8, change_time = ?10, body = ?13
    WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND kind = 1 AND id = ?4
      AND amount = ?5 AND +payment IS ?9 AND +due_time IS ?11 AND +state = ?12";
const GRANT: &str = "INSERT INTO books
        (customer_no, subaccount, unit, kind, id, amount, used, held, lapsed, payment, change_time, due_time, state, body,
         end_time)
    VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, iif(?12, ?10, NULL))
    ON CONFLICT (customer_no, subaccount, unit, kind, id) DO UPDATE SET used = excluded.used, held = excluded.held,
    lapsed = excluded.lapsed, change_time = excluded.change_time, due_time = excluded.due_time,
    state = excluded.state, body = excluded.body, end_time = excluded.end_time
    WHERE amount = excluded.amount AND payment IS excluded.payment";

/// Writes a hold that stays open as long as it was to be.
const USE_HOLD: &str = "UPDATE books SET body = ?8
    WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND kind = 2 AND id = ?4
      AND +state = ?5 AND +due_time = ?6 AND +end_time IS ?7";
const HOLD: &str = "INSERT INTO books
        (customer_no, subaccount, unit, kind, id, state, due_time, end_time, body)
    VALUES (?1, ?2, ?3, 2, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (customer_no, subaccount, unit, kind, id) DO UPDATE SET state = excluded.state,
    due_time = excluded.due_time, end_time = excluded.end_time, body = excluded.body";

const DRAW: &str = "INSERT INTO books (customer_no, subaccount, unit, kind, id, state, due_time, body)
    VALUES (?1, '', '', 3, ?2, 1, ?3, ?4)
    ON CONFLICT (customer_no, subaccount, unit, kind, id) DO UPDATE SET due_time = excluded.due_time,
    body = excluded.body";

/// The statements that write one kind of rows each.
struct Writing<'a> {
    use_head: CachedStatement<'a>,
    head: CachedStatement<'a>,
    use_grant: CachedStatement<'a>,
    grant: CachedStatement<'a>,
    use_hold: CachedStatement<'a>,
    hold: CachedStatement<'a>,
    ledger: Appending<'a>,
    draw: CachedStatement<'a>,
}

/// Writes what changed, and adds the new transactions to the chain.
pub(in super::super) fn write(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    chain: &mut Chain,
    books: &[(CustomerId, BookChanges)],
) -> Result<(), StoreError> {
    if books.is_empty() {
        return Ok(());
    }
    numbers.ledgers.stay_few();
    let mut writing = Writing::new(reading.conn)?;
    for (customer, changes) in books {
        let no = numbers.customer(reading, customer)?;
        let mut grown = BTreeSet::new();
        for posted in &changes.posted {
            let body = posted_body(posted);
            chain.posted(no, posted, &body);
            let places = numbers.ledgers.of(reading.conn, no, &posted.wallet)?;
            writing.posted(no, posted, &body, places)?;
            grown.insert(&posted.wallet);
        }
        for head in &changes.heads {
            let places = if grown.remove(&head.key) {
                Some(numbers.ledgers.of(reading.conn, no, &head.key)?.column())
            } else {
                None
            };
            writing.head(no, head, places.as_deref())?;
        }
        if let Some(wallet) = grown.first() {
            return Err(StoreError::Constraint(format!(
                "what moved in {wallet:?} would not be counted there"
            )));
        }
        for (key, grant) in &changes.grants {
            writing.grant(no, key, grant)?;
        }
        for (key, id, hold) in &changes.holds {
            writing.hold(no, (key, id), hold)?;
        }
        for draw in &changes.draws {
            writing.draw(no, draw)?;
        }
    }
    Ok(())
}

impl<'a> Writing<'a> {
    fn new(conn: &'a Connection) -> Result<Self, StoreError> {
        Ok(Self {
            use_head: conn.prepare_cached(USE_HEAD)?,
            head: conn.prepare_cached(HEAD)?,
            use_grant: conn.prepare_cached(USE_GRANT)?,
            grant: conn.prepare_cached(GRANT)?,
            use_hold: conn.prepare_cached(USE_HOLD)?,
            hold: conn.prepare_cached(HOLD)?,
            ledger: Appending::new(conn)?,
            draw: conn.prepare_cached(DRAW)?,
        })
    }

    /// Writes a wallet, and where its newest transactions stand if it has new ones.
    fn head(
        &mut self,
        no: CustomerNo,
        head: &WalletHead,
        places: Option<&str>,
    ) -> Result<(), StoreError> {
        let (part, unit) = key_columns(&head.key);
        let terms = json(&head.terms);
        for statement in [&mut self.use_head, &mut self.head] {
            statement.raw_bind_parameter(1, no)?;
            statement.raw_bind_parameter(2, part)?;
            statement.raw_bind_parameter(3, unit)?;
            statement.raw_bind_parameter(4, head.number)?;
            statement.raw_bind_parameter(5, head.receivable)?;
            statement.raw_bind_parameter(6, &*terms)?;
            statement.raw_bind_parameter(7, head.terms.due_time.map(Timestamp::as_micros))?;
            statement.raw_bind_parameter(8, places)?;
            if statement.raw_execute()? > 0 {
                break;
            }
        }
        Ok(())
    }

    fn grant(&mut self, no: CustomerNo, key: &WalletKey, grant: &Grant) -> Result<(), StoreError> {
        let (part, unit) = key_columns(key);
        let payment = payment_column(grant);
        let body = grant_body(grant);
        // Most grants that are written are there already, and stay open.
        let statements = [
            is_open(grant).then_some(&mut self.use_grant),
            Some(&mut self.grant),
        ];
        for statement in statements.into_iter().flatten() {
            statement.raw_bind_parameter(1, no)?;
            statement.raw_bind_parameter(2, part)?;
            statement.raw_bind_parameter(3, unit)?;
            statement.raw_bind_parameter(4, grant.id.as_str())?;
            statement.raw_bind_parameter(5, grant.amount)?;
            statement.raw_bind_parameter(6, grant.used)?;
            statement.raw_bind_parameter(7, grant.held)?;
            statement.raw_bind_parameter(8, grant.lapsed)?;
            statement.raw_bind_parameter(9, payment.as_deref())?;
            statement.raw_bind_parameter(10, grant.change_time.as_micros())?;
            statement.raw_bind_parameter(11, grant.expire_time.map(Timestamp::as_micros))?;
            statement.raw_bind_parameter(12, !is_open(grant))?;
            statement.raw_bind_parameter(13, &*body)?;
            if statement.raw_execute()? > 0 {
                return Ok(());
            }
        }
        Err(StoreError::Constraint(format!(
            "grant {} would become another",
            grant.id
        )))
    }

    fn hold(
        &mut self,
        no: CustomerNo,
        (key, id): (&WalletKey, &HoldId),
        hold: &Hold,
    ) -> Result<(), StoreError> {
        let (part, unit) = key_columns(key);
        let body = hold_body(hold);
        let goes_on = hold.is_open() && (hold.is_pool || hold.captured > 0);
        let statements = [goes_on.then_some(&mut self.use_hold), Some(&mut self.hold)];
        for statement in statements.into_iter().flatten() {
            statement.raw_bind_parameter(1, no)?;
            statement.raw_bind_parameter(2, part)?;
            statement.raw_bind_parameter(3, unit)?;
            statement.raw_bind_parameter(4, id.as_str())?;
            statement.raw_bind_parameter(5, hold_state_column(hold.state))?;
            statement.raw_bind_parameter(6, hold.expire_time.as_micros())?;
            statement.raw_bind_parameter(7, hold.end_time.map(Timestamp::as_micros))?;
            statement.raw_bind_parameter(8, &*body)?;
            if statement.raw_execute()? > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Appends a transaction.
    fn posted(
        &mut self,
        no: CustomerNo,
        posted: &Posted,
        body: &str,
        places: &mut Places,
    ) -> Result<(), StoreError> {
        let (part, unit) = key_columns(&posted.wallet);
        let columns = PostedColumns {
            number: posted.number,
            time: posted.time.as_micros(),
            cause: cause_column(posted.transaction.cause),
            body,
            available: posted.balance.available,
            held: posted.balance.held,
            receivable: posted.balance.receivable,
        };
        self.ledger.append((no, part, unit), places, &columns)
    }

    fn draw(&mut self, no: CustomerNo, draw: &Draw) -> Result<(), StoreError> {
        let statement = &mut self.draw;
        statement.raw_bind_parameter(1, no)?;
        let id = draw_id(draw.feature.as_str(), draw.period.start.as_micros());
        statement.raw_bind_parameter(2, id)?;
        statement.raw_bind_parameter(3, draw.period.end.as_micros())?;
        statement.raw_bind_parameter(4, json(draw))?;
        statement.raw_execute()?;
        Ok(())
    }
}

/// Names a draw among those of its customer.
pub(in super::super) fn draw_id(feature: &str, period_start: i64) -> String {
    format!("{feature} {period_start}")
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::storage::conformance::fixture::START;
    use crate::storage::conformance::fixture::purse::rich;
    use crate::storage::sqlite::open::empty;

    #[test]
    fn no_statement_is_prepared_again_for_what_is_bound() {
        let conn = empty();
        let changes = rich(START);
        let mut writing = Writing::new(&conn).unwrap();
        for customer in 1..4 {
            for _ in 0..2 {
                for head in &changes.heads {
                    writing.head(customer, head, None).unwrap();
                }
                for (key, grant) in &changes.grants {
                    writing.grant(customer, key, grant).unwrap();
                }
                for (key, id, hold) in &changes.holds {
                    writing.hold(customer, (key, id), hold).unwrap();
                }
            }
        }
        for statement in [
            &writing.use_head,
            &writing.head,
            &writing.use_grant,
            &writing.grant,
            &writing.use_hold,
            &writing.hold,
        ] {
            assert!(statement.get_status(StatementStatus::Run) > 0);
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
