//! L4, L5 and L11 as properties: random histories of wallets and of usage that draws on them, on the engine and on a
//! naive model in plain integers, step by step, on each store.
//!
//! After each step the ledgers are proved, no credit is lost or made, what usage was charged is what the ledger moved for
//! it, and each unit has one destination; a repeat gets the first answer, and what is refused leaves nothing behind.

mod answers;
mod back;
mod calls;
mod caps;
mod carry;
mod compare;
mod market;
mod model;
mod perform;
mod pledge;
mod purse;
mod spending;
mod steps;
mod system;
mod usage;
mod void;

use proptest::test_runner::Config;
use proptest_state_machine::prop_state_machine;

use self::system::{OnMemory, OnPostgres, OnSqlite};

prop_state_machine! {
    #![proptest_config(Config { cases: 160, max_shrink_iters: 400, failure_persistence: None, ..Config::default() })]

    #[test]
    fn wallets_keep_the_laws_on_memory(sequential 1..120 => OnMemory);
}

prop_state_machine! {
    #![proptest_config(Config { cases: 40, max_shrink_iters: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn wallets_keep_the_laws_on_sqlite(sequential 1..120 => OnSqlite);
}

prop_state_machine! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 50, failure_persistence: None, ..Config::default() })]

    #[test]
    fn wallets_keep_the_laws_on_postgres_with_three_engines(sequential 1..120 => OnPostgres);
}
