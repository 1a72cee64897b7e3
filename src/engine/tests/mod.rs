//! Use cases on the reference store, with a clock that moves only when told to.

mod allocations;
mod catalogs;
mod customers;
mod overrides;
mod plans;
mod setting;
mod subaccounts;
