//! Use cases on the reference store, with a clock that moves only when told to.

mod allocations;
mod billed;
mod catalogs;
mod corrections;
mod costs;
mod customers;
mod draws;
mod estimates;
mod failing;
mod failures;
mod first_use;
mod lanes;
mod overrides;
mod plans;
mod rebuilds;
mod renewals;
mod repeats;
mod reports;
mod sealing;
mod setting;
mod settling;
mod standings;
mod subaccounts;
mod upkeep;
mod usage;
mod watching;
