//! Does every store behave the same? One suite over each; what only a file can do says so.

#[path = "../fixture/mod.rs"]
mod fixture;

/// Runs each behaviour over every store.
macro_rules! on_every_store {
    ($($behaviour:ident,)*) => {
        mod memory { $(#[test] fn $behaviour() { super::$behaviour(&crate::fixture::Place::memory()); })* }
        mod sqlite { $(#[test] fn $behaviour() { super::$behaviour(&crate::fixture::Place::sqlite()); })* }
    };
}

mod alerts;
mod approvals;
mod budgets;
mod choices;
mod deadlines;
mod ends;
mod halts;
mod handlers;
mod kinds;
mod last;
mod observed;
mod owners;
mod suggest;
mod tasks;
mod turns;
mod upkeep;
