//! How does Node.js reach the core? Through free functions over handles.
//!
//! A function converts in, calls the core, converts out. Handles are `u32`, counts numbers, amounts
//! `bigint`s; a method call on a native object costs more than the budget work itself, a free
//! function about 30 ns. An error is a value, tagged by its shape ([`outcome`]), because one with
//! fields does not survive a rejected promise. What may wait for a file has a promise ([`threads`]).
//!
//! The TypeScript of the package is the only caller: it checks the types of arguments.

// In a test build napi registers nothing, so nothing calls any of it.
#![cfg_attr(test, allow(dead_code))]
// What napi calls takes owned arguments and plain structs.
#![allow(clippy::struct_excessive_bools, clippy::unnecessary_wraps)]

mod alert;
mod audit;
mod breaker;
mod call;
mod convert;
mod exchange;
mod export;
mod import;
mod ledger;
mod meter;
mod orders;
mod outcome;
mod plan;
mod report;
mod table;
mod task;
mod threads;
mod tracing;
