//! Tests of the checker on histories made by hand, each with one fault planted, and short runs against the server.

mod planted;
mod planted_bills;
mod planted_wallets;
mod runs;
mod scene;
mod wallet_scene;
mod wallet_work;

/// A test and its name, for `cargo test NAME`.
pub struct Test {
    pub name: &'static str,
    pub needs_faults: bool,
    pub run: fn(),
}

const fn test(name: &'static str, run: fn()) -> Test {
    Test {
        name,
        needs_faults: false,
        run,
    }
}

const fn short_run(name: &'static str, run: fn()) -> Test {
    Test {
        name,
        needs_faults: true,
        run,
    }
}

pub const ALL: &[Test] = &[
    test("what_is_right_is_found_right", planted::nothing_planted),
    test("a_lost_event_is_found", planted::lost),
    test("an_event_with_other_content_is_found", planted::altered),
    test("an_event_stored_twice_is_found", planted::duplicated),
    test("an_event_counted_twice_is_found", planted::counted_twice),
    test("an_event_nobody_sent_is_found", planted::unexpected),
    test("a_refused_event_that_is_stored_is_found", planted::refused),
    test("two_contents_of_one_id_are_found", planted::two_contents),
    test("a_wrong_counter_is_found", planted::wrong_counter),
    test("a_wrong_reserved_sum_is_found", planted::wrong_reserved),
    test("a_missing_counter_is_found", planted::missing_counter),
    test("a_wrong_bucket_is_found", planted::wrong_bucket),
    test("over_admission_is_found", planted::over_admitted),
    test(
        "over_admission_in_a_rolling_window_is_found",
        planted::over_admitted_rolling,
    ),
    test(
        "over_admission_of_jobs_and_seats_is_found",
        planted::over_admitted_things,
    ),
    test("a_changed_answer_is_found", planted::changed_answer),
    test(
        "a_lost_reservation_and_seat_are_found",
        planted::lost_things,
    ),
    test("a_missing_answer_is_found", planted::unanswered),
    test("what_was_said_to_be_nothing_is_found", planted::nothing),
    test(
        "wallets_that_are_right_are_found_right",
        planted_wallets::nothing_planted,
    ),
    test("a_lost_grant_is_found", planted_wallets::lost_grant),
    test("a_lost_debit_is_found", planted_wallets::lost_debit),
    test("a_debit_done_twice_is_found", planted_wallets::twice),
    test(
        "a_debit_nobody_asked_for_is_found",
        planted_wallets::nobody_asked,
    ),
    test(
        "a_refused_debit_that_is_done_is_found",
        planted_wallets::refused_and_done,
    ),
    test(
        "a_transaction_otherwise_than_told_is_found",
        planted_wallets::otherwise_than_told,
    ),
    test(
        "a_payment_granted_twice_is_found",
        planted_wallets::paid_twice,
    ),
    test(
        "an_unbalanced_transaction_is_found",
        planted_wallets::unbalanced,
    ),
    test("a_gap_in_a_ledger_is_found", planted_wallets::gap),
    test("a_misstated_balance_is_found", planted_wallets::misstated),
    test("an_overdrawn_grant_is_found", planted_wallets::overdrawn),
    test("a_stale_grant_is_found", planted_wallets::stale_grant),
    test(
        "a_charge_apart_from_its_debit_is_found",
        planted_wallets::debit_apart,
    ),
    test("a_wrong_charge_is_found", planted_wallets::wrong_price),
    test(
        "a_void_that_gives_nothing_back_is_found",
        planted_wallets::void_without_refund,
    ),
    test(
        "a_hold_resolved_twice_is_found",
        planted_wallets::hold_resolved_twice,
    ),
    test(
        "credits_lost_on_the_way_are_found",
        planted_wallets::lost_on_the_way,
    ),
    test(
        "bills_that_are_right_are_found_right",
        planted_bills::nothing_planted,
    ),
    test(
        "usage_that_stripe_counted_twice_is_found",
        planted_bills::twice,
    ),
    test(
        "usage_that_never_got_to_stripe_is_found",
        planted_bills::forgotten,
    ),
    test(
        "usage_that_was_never_sealed_is_found",
        planted_bills::never_sealed,
    ),
    test(
        "usage_that_is_not_settled_is_found",
        planted_bills::not_settled,
    ),
    short_run("short_run", runs::good_run),
    short_run("several_short_run", runs::good_run_of_several),
    short_run("ack_before_commit_is_found", runs::ack_before_commit),
    short_run(
        "dedupe_outside_transaction_is_found",
        runs::dedupe_outside_transaction,
    ),
    short_run(
        "counter_outside_transaction_is_found",
        runs::counter_outside_transaction,
    ),
    short_run(
        "decision_outside_lock_is_found",
        runs::decision_outside_lock,
    ),
    short_run(
        "several_stale_epoch_writes_is_found",
        runs::stale_epoch_writes,
    ),
    short_run(
        "several_unknown_commit_is_failure_is_found",
        runs::unknown_commit_is_failure,
    ),
    short_run(
        "several_limit_from_memory_is_found",
        runs::limit_from_memory,
    ),
    short_run(
        "several_feed_skips_late_commit_is_found",
        runs::feed_skips_late_commit,
    ),
    short_run(
        "usage_named_by_attempt_is_found",
        runs::usage_named_by_attempt,
    ),
    short_run(
        "several_usage_named_by_attempt_is_found",
        runs::usage_named_by_attempt_of_several,
    ),
    short_run("debit_apart_is_found", runs::debit_apart),
    short_run(
        "ledger_without_grants_is_found",
        runs::ledger_without_grants,
    ),
    short_run("several_debit_apart_is_found", runs::debit_apart_of_several),
];
