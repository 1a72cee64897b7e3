//! The laws as properties: a random history on the engine and on a naive model, step by step, on each store.
//!
//! L1 stored once, repeats recognised; L2 counters equal the fold of events; L3 no reservation beyond a limit;
//! L5 mutations once per request; L6 memory may be dropped at any moment. L10 is in `overload`;
//! L4, L5 and L11, for credits, in `wallets`.

pub mod backends;
mod model;
mod overload;
mod race;
pub mod system;
mod wallets;

use proptest::test_runner::Config;
use proptest_state_machine::prop_state_machine;

use self::system::{OnMemory, OnPostgres, OnSqlite};

prop_state_machine! {
    #![proptest_config(Config { cases: 64, max_shrink_iters: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn laws_hold_on_memory(sequential 1..60 => OnMemory);
}

prop_state_machine! {
    #![proptest_config(Config { cases: 16, max_shrink_iters: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn laws_hold_on_sqlite(sequential 1..60 => OnSqlite);
}

prop_state_machine! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 50, failure_persistence: None, ..Config::default() })]

    #[test]
    fn laws_hold_on_postgres_with_three_engines(sequential 1..60 => OnPostgres);
}
