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

/// Gives the customer an agent, which has no limits of its own, and names its wallet.
fn agent_of(history: &mut History) -> (SubaccountId, WalletKey) {
    let id = SubaccountId::new("bot").unwrap();
    let subaccount = Subaccount {
        id: id.clone(),
        display_name: "".into(),
        metadata: Labels::new(),
        create_time: start(),
        update_time: start(),
        delete_time: None,
    };
    let warnings = history.account.rights.warnings;
    let state = SubaccountState {
        subaccount,
        rights: Arc::new(Rights::bare(Vec::new().into(), warnings)),
        counters: Vec::new(),
    };
    history.account.subaccounts.insert(id.clone(), state);
    let key = WalletKey::of(Some(&id), "LUC");
    (id, key)
}

#[test]
fn what_is_included_is_pledged_once_whoever_pays() {
    let mut history = History::new();
    let (bot, wallet) = agent_of(&mut history);
    history.grant_to(&wallet, 24_000);
    // 100 tokens are included. The customer pledges 80 of them, so that 60 of the agent may come to be charged.
    let own = history.reserve(&[(1, 80, 80)]).expect("they are included");
    let refused = history.reserve_for(Some(&bot), &[(1, 101, 101)]);
    assert_eq!(refused, None, "81 of 101 would cost 24,300");
    let theirs = history.reserve_for(Some(&bot), &[(1, 80, 80)]).unwrap();
    let held = |history: &History| history.account.book.wallet(&wallet).unwrap().held();
    assert_eq!(held(&history), 18_000);
    assert_eq!(history.record(1, 80, Some(&own)), 0);
    let now = history.now;
    let owed = history.record_at((1, 80), now, Some(&bot), Some(&theirs));
    assert_eq!((owed, held(&history)), (0, 0));
    assert_eq!(history.charges[0].1.amount, 18_000);
}

#[test]
fn who_reserved_first_is_covered_when_another_uses_first() {
    let mut history = History::new();
    let (bot, wallet) = agent_of(&mut history);
    history.grant(6_000);
    history.grant_to(&wallet, 18_000);
    let own = history.reserve(&[(1, 80, 80)]).expect("they are included");
    let theirs = history.reserve_for(Some(&bot), &[(1, 80, 80)]).unwrap();
    let held =
        |history: &History, key: &WalletKey| history.account.book.wallet(key).unwrap().held();
    assert_eq!(held(&history, &key()), 6_000, "as far as the wallet goes");
    history.grant(12_000);
    let now = history.now;
    assert_eq!(
        history.record_at((1, 80), now, Some(&bot), Some(&theirs)),
        0
    );
    assert!(history.charges.is_empty(), "they were included");
    assert_eq!(history.record(1, 80, Some(&own)), 0);
    assert_eq!(history.charges[0].1.amount, 18_000);
    // What ends gives back what others no longer need.
    let one = history.reserve(&[(1, 1, 1)]);
    assert_eq!(one, None, "nothing is left");
    let made = history.reserve_for(Some(&bot), &[(1, 60, 60)]).unwrap();
    assert_eq!(held(&history, &wallet), 18_000);
    let effects = &mut Effects::default();
    let ended = history.account.end(&made, Ended::Released, now, effects);
    ended.unwrap().unwrap();
    assert_eq!(held(&history, &wallet), 0);
}

#[test]
fn what_earlier_reservations_lack_does_not_stand_against_a_new_one() {
    let mut history = History::new();
    history.reserve(&[(1, 50, 50)]).expect("it is included");
    // Other use takes what is included, so that what is pledged costs something; the wallet has nothing yet.
    assert_eq!(history.record(1, 100, None), 0);
    history.grant(1_000);
    let made = history.reserve(&[(1, 3, 3)]);
    made.expect("credits cover what it costs: 900");
    assert_eq!(history.reserve(&[(1, 1, 1)]), None);
    history.compare().unwrap();
}

#[test]
fn use_beyond_a_reservation_leaves_to_others_what_they_set_aside() {
    let mut history = History::new();
    history.grant(7_000);
    let first = history.reserve(&[(2, 5, 5)]).unwrap();
    let second = history.reserve(&[(2, 2, 2)]).unwrap();
    assert_eq!(
        history.record(2, 7, Some(&first)),
        2_000,
        "two are not its own"
    );
    let wallet = history.account.book.wallet(&key()).unwrap();
    assert_eq!(wallet.held(), 2_000);
    assert_eq!(history.record(2, 2, Some(&second)), 0);
    history.compare().unwrap();
}

#[test]
fn a_void_of_what_is_owed_says_that_less_is_owed() {
    let mut history = History::new();
    history.grant(1_000);
    assert_eq!(history.record(2, 3, None), 2_000);
    let (meter, dimensions) = (MeterId::new("pages").unwrap(), Labels::new());
    let usage = Counted {
        subaccount: None,
        meter: &meter,
        dimensions: &dimensions,
        weighted: Milli::from_units(-3).unwrap(),
        at: history.now,
    };
    let (charge, now) = (history.charges[0].1.clone(), history.now);
    let (drawn, effects) = ((Some(&charge), now), &mut Effects::default());
    let void = history.account.take_back(&usage, drawn, now, effects);
    let void = void.unwrap().unwrap();
    assert_eq!((void.amount, void.owed), (-3_000, -2_000));
    assert_eq!(charge.owed + void.owed, 0);
}

#[test]
fn what_was_set_aside_in_another_unit_is_left_alone() {
    let mut history = History::new();
    history.grant(100_000);
    let id = history.reserve(&[(2, 50, 50)]).unwrap();
    // The feature is sold in another unit from now on.
    let catalog = CATALOG
        .replace(
            "[credit_units.LUC]\nper_dollar = 100",
            "[credit_units.LUC]\nper_dollar = 100\n[credit_units.USD]\nper_dollar = 1",
        )
        .replace(
            "pages.wallet]\ncredit_unit = \"LUC\"",
            "pages.wallet]\ncredit_unit = \"USD\"",
        );
    let catalog = parse_catalog(&catalog).unwrap_or_else(|faults| panic!("{faults:?}"));
    history.account.rights = account_of(&catalog, "mixed").rights;
    let held = |history: &History| history.account.book.wallet(&key()).unwrap().held();
    assert_eq!(history.record(2, 10, None), 100, "micro-units of dollars");
    assert_eq!(held(&history), 50_000, "no credit more, and none less");
    let (now, effects) = (history.now, &mut Effects::default());
    let ended = history.account.end(&id, Ended::Released, now, effects);
    ended.unwrap().unwrap();
    assert_eq!(held(&history), 0);
}

#[test]
fn use_below_zero_that_is_taken_back_is_charged_as_usage_again() {
    let mut history = History::new();
    history.grant(10_000);
    history.record(2, 3, None);
    history.record(2, -2, None);
    assert_eq!(history.charged[2], 1_000);
    history.void(1);
    assert_eq!(history.charged[2], 3_000);
    // What its ledger says of usage is what events and voids were charged.
    history.compare().unwrap();
}
