//! Compares the ledgers with what was asked for and what was answered: each call that was done stands there once, as it
//! was told; one that was refused never; nothing that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Account, Books, Key, Posted};
use crate::checker::{Findings, Kind, Stored};
use crate::credits::{Credits, Moved};
use crate::history::{Call, Granted, History};
use crate::journal::Answer;
use crate::world::{Group, Meter};

type Rows<'a> = Vec<(Key, &'a Posted)>;

/// Compares all ledgers with all calls.
pub fn check(history: &History, stored: &Stored, found: &mut Findings) {
    let (books, granted) = (&stored.books, history.granted());
    let mut by_request: BTreeMap<&str, Rows<'_>> = BTreeMap::new();
    for (key, rows) in &books.ledger {
        for row in rows {
            match row.request() {
                Some(request) => by_request.entry(request).or_default().push((*key, row)),
                None => check_unasked(*key, row, &granted, found),
            }
        }
    }
    for (request, call, credits) in history.wallet_calls() {
        let rows = by_request.remove(request).unwrap_or_default();
        check_call(request, (call, credits), &rows, books, found);
    }
    for (request, rows) in by_request {
        let text = format!("nobody asked for what stands under request {request}: {rows:?}");
        found.add(Kind::Unexpected, text);
    }
    check_payments(history, books, found);
}

/// What moves without a call: because of usage, of reservations, or because its time was over.
fn check_unasked(
    key: Key,
    row: &Posted,
    granted: &BTreeMap<String, Granted>,
    found: &mut Findings,
) {
    let about = &row.body.about;
    let is_known = match row.cause.as_str() {
        "usage" | "refund" => about.meter.as_deref() == Some(Meter::Work.id()),
        "hold" | "release" => {
            let is_ours = |id: &String| granted.get(id).is_some_and(|held| held.customer == key.0);
            about.hold.is_none() && about.reservation.as_ref().is_none_or(is_ours)
        }
        "hold_expiry" => about.hold.is_some(),
        "grant_expiry" => true,
        _ => false,
    };
    if !is_known || Group::of(key.0) != Group::Funded {
        let text = format!("wallet {key:?}: nobody asked for {row:?}");
        found.add(Kind::Unexpected, text);
    }
}

fn check_call(
    request: &str,
    (call, credits): (&Call, &Credits),
    rows: &Rows<'_>,
    books: &Books,
    found: &mut Findings,
) {
    let customer = call.customer;
    let say = |what: &str| format!("customer {customer}, {request}: {credits:?} {what}: {rows:?}");
    let (least, most) = credits.transactions();
    if rows.len() > most {
        found.add(Kind::Duplicated, say("stands more than once"));
        return;
    }
    let Some(moved) = call.moved() else {
        if let (false, Some((_, answer))) = (rows.is_empty(), call.answers.last()) {
            found.add(
                Kind::Unexpected,
                say(&format!("was answered {answer:?}, and stands")),
            );
        }
        return check_refusal(request, call, credits, books, found);
    };
    if rows.len() < least {
        found.add(Kind::Lost, say("was done and does not stand"));
        return;
    }
    let is_ours = |(key, row): &(Key, &Posted)| {
        let told = moved.wallets.iter().find(|(part, _)| *part == key.1);
        key.0 == customer
            && row.cause == credits.cause()
            && told.is_some_and(|(_, balance)| *balance == row.balance)
    };
    let parts: BTreeSet<usize> = rows.iter().map(|(key, _)| key.1).collect();
    if !rows.iter().all(is_ours) || parts.len() != rows.len() || !is_as_asked(credits, rows) {
        found.add(
            Kind::Ledger,
            say(&format!("was answered {moved:?}, and stands otherwise")),
        );
    }
    check_told(request, credits, (customer, moved), books, found);
}

/// Whether transactions moved what was asked for.
fn is_as_asked(credits: &Credits, rows: &Rows<'_>) -> bool {
    let one = || rows.first().map(|(key, row)| (key.1, *row));
    // Whoever spends pays from a wallet of its own, or from that of the customer.
    let pays = |payer: usize, spender: usize| payer == spender || payer == 0;
    let sum = |row: &Posted, what: &Account| row.sum(|account| account == what);
    match credits {
        Credits::Transfer { from, to, amount } => rows.iter().all(|(key, row)| {
            let due = if key.1 == *from { *amount } else { -*amount };
            (key.1 == *from || key.1 == *to)
                && sum(row, &Account::Transfers) == i128::from(due)
                && row.revenue() == 0
        }),
        Credits::Expire { part, .. } => one().is_none_or(|(of, row)| {
            of == *part && sum(row, &Account::Expired) > 0 && row.revenue() == 0
        }),
        Credits::Grant { part, amount, .. } => {
            one().is_some_and(|(of, row)| of == *part && row.funded() == i128::from(*amount))
        }
        Credits::ClawBack { part, amount, .. } => {
            one().is_some_and(|(of, row)| of == *part && row.funded() == -i128::from(*amount))
        }
        Credits::Debit { part, amount, .. } => one().is_some_and(|(of, row)| {
            pays(of, *part) && row.revenue() == i128::from(*amount) && row.funded() == 0
        }),
        Credits::Hold { part, amount, .. } => one().is_some_and(|(of, row)| {
            pays(of, *part) && row.held() == i128::from(*amount) && row.revenue() == 0
        }),
        Credits::Capture { amount, .. } => {
            one().is_some_and(|(_, row)| row.revenue() == i128::from(*amount) && row.held() < 0)
        }
        Credits::Release { .. } => {
            one().is_some_and(|(_, row)| row.revenue() == 0 && row.held() < 0)
        }
    }
}

/// Compares grants and holds with what was told of them.
fn check_told(
    request: &str,
    credits: &Credits,
    (customer, moved): (u32, &Moved),
    books: &Books,
    found: &mut Findings,
) {
    let grant = || books.grants.get(&(customer, moved.id.clone()));
    let hold = || {
        let of = |part: usize| books.holds.get(&((customer, part), moved.id.clone()));
        moved.wallets.iter().find_map(|(part, _)| of(*part))
    };
    let is_there = match credits {
        Credits::Grant {
            part,
            amount,
            payment,
            ..
        } => grant().is_some_and(|grant| {
            let paid = payment.as_ref().map(|name| format!("stripe:{name}"));
            let is_it = (grant.part, grant.amount, &grant.payment) == (*part, *amount, &paid);
            is_it && moved.told == *amount
        }),
        Credits::Hold { amount, .. } => {
            hold().is_some_and(|hold| hold.body.amount == *amount && moved.told == *amount)
        }
        Credits::Capture { hold: id, .. } | Credits::Release { hold: id } => {
            moved.id == *id && hold().is_some_and(|hold| hold.body.captured >= moved.told)
        }
        Credits::Expire { grant: id, .. } | Credits::ClawBack { grant: id, .. } => {
            moved.id == *id && grant().is_some()
        }
        Credits::Debit { .. } | Credits::Transfer { .. } => true,
    };
    if !is_there {
        let stored = (grant(), hold());
        found.add(
            Kind::Lost,
            format!("{request}: {credits:?} was answered {moved:?}, stored: {stored:?}"),
        );
    }
}

/// What was refused because of something must show that something.
fn check_refusal(
    request: &str,
    call: &Call,
    credits: &Credits,
    books: &Books,
    found: &mut Findings,
) {
    let is_true = match (credits, call.refused()) {
        (Credits::Grant { payment, .. }, Some("PAYMENT_GRANTED")) => {
            let paid = payment.as_ref().map(|name| format!("stripe:{name}"));
            let mut grants = books.grants.iter();
            grants.any(|((of, _), grant)| *of == call.customer && grant.payment == paid)
        }
        (Credits::Capture { hold, .. } | Credits::Release { hold }, Some("HOLD_RESOLVED")) => {
            let mut holds = books.holds.iter();
            holds.any(|(((of, _), id), row)| *of == call.customer && id == hold && row.state != 0)
        }
        _ => true,
    };
    if !is_true {
        let answers = &call.answers;
        found.add(
            Kind::Answer,
            format!("{request}: {credits:?} was answered {answers:?}, which is not so"),
        );
    }
}

/// A payment brings credits once, whatever requests name it.
fn check_payments(history: &History, books: &Books, found: &mut Findings) {
    let mut granted: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for (_, call, credits) in history.wallet_calls() {
        let Credits::Grant {
            payment: Some(name),
            ..
        } = credits
        else {
            continue;
        };
        let is_done = |(_, answer): &&(i64, Answer)| matches!(answer, Answer::Moved(_));
        let times = call.answers.iter().find(is_done).map_or(0, |_| 1);
        *granted.entry((call.customer, name)).or_default() += times;
    }
    let mut stored: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for ((customer, _), grant) in &books.grants {
        if let Some(name) = grant
            .payment
            .as_deref()
            .and_then(|all| all.strip_prefix("stripe:"))
        {
            *stored.entry((*customer, name)).or_default() += 1;
        }
    }
    for (payment, times) in granted.iter().chain(&stored).filter(|entry| *entry.1 > 1) {
        let text = format!("payment {payment:?} brought credits {times} times");
        found.add(Kind::Duplicated, text);
    }
}
