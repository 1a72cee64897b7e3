//! What was granted stays covered, whoever uses first and whatever is taken back.

use super::*;

#[test]
fn use_that_makes_what_is_pledged_cheaper_is_paid_of_what_that_frees() {
    let mut history = History::new();
    // 50 pages at 1,000 are pledged; 40 more would cost 400 each after them, and the credits are just enough for that.
    history.grant(66_000);
    history.reserve(&[(2, 50, 50)]).expect("it is covered");
    // Used first, they cost 1,000 each, and the pledged ones so much less.
    assert_eq!(history.consume(2, 40), 0, "nothing is owed");
    let wallet = history.account.book.wallet(&key()).unwrap();
    assert_eq!((wallet.held(), wallet.available(history.now)), (26_000, 0));
    assert_eq!(history.charges[0].1.amount, 40_000);
    history.compare().unwrap();
}

#[test]
fn use_of_what_is_included_has_pledged_use_covered_before_others_spend() {
    let mut history = History::new();
    let id = history.reserve(&[(1, 50, 50)]).expect("it is included");
    history.grant(6_000);
    // Both are 120 of 100 that are included: the 20 beyond are asked of the credits now, and charged to who comes last.
    assert_eq!(history.consume(1, 70), 0);
    assert!(history.charges.is_empty(), "they were included");
    assert_eq!(history.consume(2, 1), 0);
    assert!(history.charges.is_empty(), "the credits are set aside");
    assert_eq!(history.record(1, 50, Some(&id)), 0, "nothing is owed");
    assert_eq!(history.charges[0].1.amount, 6_000);
    history.compare().unwrap();
}

#[test]
fn what_a_void_makes_dearer_is_covered_by_what_comes_back() {
    let mut history = History::new();
    history.grant(66_000);
    history.record(2, 50, None);
    history.reserve(&[(2, 40, 40)]).expect("40 at 400 each");
    history.void(0);
    let wallet = history.account.book.wallet(&key()).unwrap();
    assert_eq!(wallet.held(), 40_000, "at 1,000 each");
    history.compare().unwrap();
}
