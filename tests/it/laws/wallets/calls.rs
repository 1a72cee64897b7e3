//! What is sent to wallets, put together from the model's numbers.

use bursar::domain::wallet::{Category, Source};
use bursar::domain::window::Window;
use bursar::engine::{CapCall, GrantCall};

use super::purse::Pile;
use super::system::{at, wallet};

pub fn cap_call(who: usize, of: usize, amount: Option<i64>, is_lifetime: bool) -> CapCall {
    CapCall {
        wallet: wallet(who, of),
        amount,
        window: if is_lifetime {
            Window::Lifetime
        } else {
            Window::Day
        },
    }
}

pub fn grant_call(who: usize, pile: &Pile, note: &str) -> GrantCall {
    let reference = pile.payment.map(|payment| format!("payment-{payment}"));
    GrantCall {
        wallet: wallet(who, pile.owner),
        id: None,
        amount: pile.amount,
        priority: pile.priority,
        category: if pile.paid {
            Category::Paid
        } else {
            Category::Promotional
        },
        source: if pile.payment.is_some() {
            Source::Stripe
        } else {
            Source::Manual
        },
        reference: reference.unwrap_or_default().into(),
        expire_time: pile.end.map(at),
        note: note.into(),
    }
}
