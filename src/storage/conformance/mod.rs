//! What every store promises, as named tests: one line runs them all on a store.
//!
//! `store_conformance!(memory, crate::storage::memory::tests::make)` makes a module `memory` with one test per
//! promise. `make` is an `async fn` that returns an empty store and whatever must live as long as it does.

pub mod commits;
pub mod events;
pub mod fixture;
pub mod folds;

/// Runs the suite on a store.
macro_rules! store_conformance {
    ($suite:ident, $make:path) => {
        mod $suite {
            $crate::storage::conformance::conformance_tests! { $make;
                events: [
                    an_event_comes_back_as_it_was_given
                    a_repeat_in_a_later_batch_is_a_duplicate
                    a_repeat_in_the_same_batch_is_a_duplicate
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
                    changes_may_name_a_customer_that_they_create
                    changes_of_an_unknown_customer_are_refused
                    only_new_customers_are_listed_as_created
                    an_account_says_which_batch_it_has_seen
                    commits_at_the_same_time_all_happen
                    catalogs_are_kept_by_version
                    a_catalog_version_is_never_replaced
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
