//! What every store promises, as named tests: one line runs them all on a store.
//!
//! `store_conformance!(memory, crate::storage::memory::tests::make)` makes a module `memory` with one test per
//! promise. `make` is an `async fn` that returns an empty store and whatever must live as long as it does.

pub mod accounts;
pub mod audits;
pub mod billing;
pub mod charges;
pub mod commits;
pub mod counters;
pub mod denials;
pub mod events;
pub mod fixture;
pub mod folds;
pub mod held;
pub mod ledgers;
pub mod lists;
pub mod model;
pub mod rollups;
pub mod trims;
pub mod tripwires;
pub mod wallets;

/// Runs the suite on a store.
macro_rules! store_conformance {
    ($suite:ident, $make:path) => {
        mod $suite {
            $crate::storage::conformance::conformance_tests! { $make;
                events: [
                    an_event_comes_back_as_it_was_given
                    a_repeat_in_a_later_batch_is_a_duplicate
                    a_repeat_in_the_same_batch_is_a_duplicate
                    many_at_once_are_kept_like_few
                    other_content_is_answered_with_what_is_stored
                    the_same_id_of_another_customer_is_another_event
                    ids_that_differ_only_in_case_are_different
                    a_void_has_a_key_of_its_own
                    a_refused_event_vanishes_and_may_come_again
                    refusing_a_duplicate_leaves_what_is_stored
                    probes_find_what_is_stored_and_what_the_batch_inserts
                    changes_may_store_events
                    a_refused_event_may_be_stored_by_changes
                    an_event_in_changes_must_be_new
                ]
                commits: [
                    an_empty_batch_is_committed
                    a_repeated_mark_does_nothing
                    marks_of_another_epoch_are_others
                    answers_are_found_again
                    an_answer_is_never_replaced
                    a_broken_constraint_leaves_nothing_behind
                    an_aborted_batch_leaves_nothing_behind
                    changes_may_name_a_customer_that_they_create
                    changes_of_an_unknown_customer_are_refused
                    only_new_customers_are_listed_as_created
                    a_customer_is_read_when_its_version_is_not_known
                    a_batch_under_an_older_catalog_is_refused
                    commits_at_the_same_time_all_happen
                    catalogs_are_kept_by_version
                    a_catalog_version_is_never_replaced
                ]
                billing: [
                    a_document_comes_back_as_it_was_given
                    a_document_is_replaced_and_forgotten
                    documents_of_one_name_differ_by_kind
                    what_is_due_comes_first_the_longest_overdue
                    pages_show_the_newest_first_and_each_once
                    documents_are_found_by_customer_and_state
                    documents_are_found_by_how_their_names_begin
                    a_document_of_an_unknown_customer_is_refused
                    a_batch_sees_what_it_asks_for
                ]
                folds: [
                    a_fold_sums_each_window
                    a_fold_leaves_out_what_ended
                    a_fold_follows_filter_meter_and_subaccount
                    a_fold_takes_voids_off
                    a_fold_of_all_time_has_one_window
                    a_fold_of_a_rolling_window_is_a_ring
                    a_fold_says_when_a_sum_is_too_large
                ]
                counters: [
                    a_set_replaces_the_row
                    a_shift_makes_the_row_and_adds
                    a_set_comes_before_a_shift
                    a_sum_beyond_64_bits_is_refused
                    a_rolling_counter_takes_only_reservations_by_shift
                    counters_whose_window_ended_are_left_out
                    counters_of_subaccounts_stand_apart
                    rings_come_back_as_they_were
                    a_cleared_counter_forgets_every_window
                ]
                rollups: [
                    hours_add_up
                    cut_hours_are_read_from_events
                    usage_within_one_hour_is_read_from_events
                    groups_and_filters_tell_dimensions_apart
                    subaccounts_are_told_apart
                    unique_values_are_counted_once
                    a_void_is_counted_again
                    combinations_beyond_the_cap_flow_over
                    a_void_beyond_the_cap_is_counted_again
                    a_rollup_beyond_64_bits_is_refused
                ]
                accounts: [
                    an_unknown_customer_has_no_account
                    an_account_is_complete
                    a_batch_loads_the_same_account
                    a_customer_is_replaced_whole
                    a_subaccount_is_replaced_whole
                    overrides_are_replaced_and_removed
                    adjustments_replace_one_another
                    allocations_come_and_go
                    reservations_leave_the_account_when_they_end
                    a_deleted_customer_is_still_read
                ]
                lists: [
                    customers_are_listed_by_id
                    customers_are_filtered
                    customers_are_filtered_by_email_plan_and_status
                    events_are_listed_newest_first
                    events_are_filtered
                    pages_hold_still_while_rows_come
                    tokens_of_others_are_refused
                    unknown_customers_have_empty_lists
                ]
                held: [
                    reservations_are_listed_newest_first
                    reservations_are_filtered
                    allocations_are_listed_by_feature_and_id
                    overdue_reservations_name_their_customers
                    overdue_credits_name_their_customers
                ]
                wallets: [
                    wallets_come_back_as_they_were_written
                    what_changes_in_a_wallet_replaces_what_stood
                    wallets_of_customers_stand_apart
                    spent_grants_leave_memory_in_time
                    holds_are_found_whatever_became_of_them
                    pools_of_one_name_stand_apart
                    what_was_drawn_in_ended_periods_is_left_out
                    an_erased_customer_keeps_its_wallets
                ]
                tripwires: [
                    a_number_that_stands_in_a_ledger_is_refused
                    a_grant_is_never_overdrawn
                    a_payment_brings_one_grant
                    a_grant_keeps_what_it_is
                ]
                ledgers: [
                    ledgers_are_listed_in_both_directions
                    ledgers_are_filtered
                    ledgers_name_grants_that_only_paid_what_was_owed
                    clocks_that_differ_hide_no_transaction
                    pages_of_ledgers_hold_still_while_they_grow
                    tokens_of_no_ledger_are_refused
                ]
                charges: [
                    a_charge_comes_back_with_its_event
                    a_void_has_a_charge_of_its_own
                ]
                denials: [ denials_are_summed_and_listed ]
                audits: [
                    right_counters_pass
                    a_wrong_use_is_found
                    a_wrong_reserve_is_found
                    a_wrong_bucket_is_found
                    a_tracked_window_without_a_row_holds_nothing
                    a_held_window_without_a_row_holds_nothing
                    an_audit_goes_by_customer
                ]
                trims: [
                    events_go_and_counters_stay_right
                    events_stay_as_long_as_their_keys_must
                    a_trim_goes_in_slices
                    counters_go_when_nothing_of_their_window_is_left
                    what_was_trimmed_stays_in_folds
                    answers_go_in_time
                    denials_go_in_time
                    ended_reservations_go_in_time
                    ended_holds_go_in_time
                ]
                model: [ random_batches_agree_with_the_reference ]
            }
        }
    };
}

macro_rules! conformance_tests {
    ($make:path; $($group:ident: [$($test:ident)*])*) => {$(
        mod $group {
            $(
                #[tokio::test]
                async fn $test() {
                    let (store, _lives_as_long) = $make().await;
                    $crate::storage::conformance::$group::$test(&store).await;
                }
            )*
        }
    )*};
}

pub(crate) use {conformance_tests, store_conformance};
