//! Reports and summaries.

use napi::bindgen_prelude::{BigInt, Uint32Array};
use napi_derive::napi;
use outlay::{meter::Ratios, report};

use crate::convert::nanos;

/// What became of some calls. Amounts are in nano-USD.
#[napi(object)]
pub struct Figures {
    /// Model calls that were made or may have been: settled, in doubt and pending.
    pub calls: i64,
    /// Calls of tools.
    pub tool_calls: i64,
    /// Calls that were reserved and not billed.
    pub voided_calls: i64,
    /// Calls without a known price: their cost is unknown, and in no sum.
    pub unpriced_calls: i64,
    /// How many settled calls are estimated.
    pub estimated_calls: i64,
    /// How many calls used more money or tokens than they had reserved.
    pub overrun_calls: i64,
    /// All input tokens, with what was read from and written to a cache.
    pub input_tokens: i64,
    /// Input read from a cache.
    pub cache_read_tokens: i64,
    /// Input written to a cache.
    pub cache_write_tokens: i64,
    /// All output tokens, with reasoning.
    pub output_tokens: i64,
    /// Output the caller does not see.
    pub reasoning_tokens: i64,
    /// Settled and in doubt together.
    pub spent: BigInt,
    /// What was used.
    pub settled: BigInt,
    /// What calls hold whose outcome nobody knows.
    pub in_doubt: BigInt,
    /// What open calls hold.
    pub pending: BigInt,
    /// Of what is settled: our count, not the provider's.
    pub estimated: BigInt,
    /// What calls cost above their reservations.
    pub overrun: BigInt,
}

/// One line of a report.
#[napi(object)]
pub struct ReportRow {
    /// The task's own id or name, the model or the value of the tag; `erased` where it was forgotten.
    pub key: Option<String>,
    /// The task's id in the ledger, in a report by task or attempt.
    pub task_id: Option<String>,
    /// The number of the attempt, in a report by attempt.
    pub attempt: Option<u32>,
    /// Its part of all that was spent, per mille.
    pub share_per_mille: u32,
    /// What became of its calls.
    pub figures: Figures,
}

/// Where the money went.
#[napi(object)]
pub struct Report {
    /// What the rows are.
    pub by: String,
    /// The rows, the largest spender first.
    pub rows: Vec<ReportRow>,
    /// All rows together.
    pub totals: Figures,
    /// Entries a ledger in memory keeps no longer.
    pub dropped_entries: i64,
    /// The same as a table.
    pub text: String,
}

/// One attempt in a summary.
#[napi(object)]
pub struct AttemptLine {
    /// Its number, from 1.
    pub number: u32,
    /// `running`, `succeeded`, `failed`, `stopped` or `lost`.
    pub outcome: String,
    /// What was said of its end.
    pub reason: Option<String>,
    /// What became of its calls.
    pub figures: Figures,
}

/// Spending that bought nothing, or of which nobody knows whether it did.
#[napi(object)]
pub struct Loss {
    /// `failed attempts`, `stopped attempts`, `lost attempts`, `calls in doubt` or `estimated`.
    pub what: String,
    /// How much of it, in nano-USD.
    pub spent: BigInt,
    /// How many calls of a model.
    pub calls: i64,
}

/// What a task spent, over all attempts and everything inside it.
#[napi(object)]
pub struct Summary {
    /// The task's name.
    pub name: String,
    /// Its id in the ledger.
    pub id: String,
    /// The id the caller gave it.
    pub caller_id: Option<String>,
    /// How its latest attempt stands.
    pub outcome: String,
    /// Settled and in doubt, in nano-USD.
    pub spent: BigInt,
    /// What open calls hold.
    pub pending: BigInt,
    /// What calls hold whose outcome nobody knows.
    pub in_doubt: BigInt,
    /// Calls made without a record, because the ledger could not answer.
    pub unrecorded_calls: i64,
    /// What is left for a call; null without a hard limit on money.
    pub available: Option<BigInt>,
    /// All its calls together.
    pub totals: Figures,
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptLine>,
    /// The models its calls asked for, the largest spender first.
    pub by_model: Vec<ReportRow>,
    /// Which part bought nothing, by kind.
    pub bought_nothing: Vec<Loss>,
    /// The same as a few lines of text.
    pub text: String,
}

/// How far counts and bounds of one kind of call were from the truth.
#[napi(object)]
pub struct MeterRow {
    /// Who billed them, where the price list says.
    pub provider: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// Did they offer tools?
    pub has_tools: bool,
    /// How their input was bounded.
    pub method: String,
    /// How many calls.
    pub calls: i64,
    /// How many of them had more input than their bound.
    pub overruns: i64,
    /// What the provider counted over what was counted here, for each rank from 1 to 1,000 per mille.
    pub truth_over_count: Uint32Array,
    /// The bound over what the provider counted, likewise.
    pub bound_over_truth: Uint32Array,
}

/// How far bounds were from the truth.
#[napi(object)]
pub struct MeterReport {
    /// By provider and model.
    pub rows: Vec<MeterRow>,
    /// Entries a ledger in memory keeps no longer.
    pub dropped_entries: i64,
    /// The same as a table.
    pub text: String,
}

fn figures(figures: &report::Figures) -> Figures {
    Figures {
        calls: figures.calls() as i64,
        tool_calls: figures.tool_calls() as i64,
        voided_calls: figures.voided_calls as i64,
        unpriced_calls: figures.unpriced_calls as i64,
        estimated_calls: figures.estimated_calls as i64,
        overrun_calls: figures.overrun_calls as i64,
        input_tokens: figures.tokens.input as i64,
        cache_read_tokens: figures.tokens.cache_read as i64,
        cache_write_tokens: figures.tokens.cache_write as i64,
        output_tokens: figures.tokens.output as i64,
        reasoning_tokens: figures.tokens.reasoning as i64,
        spent: nanos(figures.spent()),
        settled: nanos(figures.settled()),
        in_doubt: nanos(figures.in_doubt()),
        pending: nanos(figures.pending()),
        estimated: nanos(figures.estimated),
        overrun: nanos(figures.overrun),
    }
}

fn row(row: &report::Row) -> ReportRow {
    ReportRow {
        key: row.key.clone(),
        task_id: row.task.map(|id| id.to_string()),
        attempt: row.attempt,
        share_per_mille: row.share_per_mille,
        figures: figures(&row.figures),
    }
}

pub(crate) fn report_of(report: report::Report) -> Report {
    Report {
        by: report.by.to_string(),
        rows: report.rows.iter().map(row).collect(),
        totals: figures(&report.totals),
        dropped_entries: report.dropped_entries as i64,
        text: report.to_string(),
    }
}

pub(crate) fn meter_report_of(report: &report::MeterReport) -> MeterReport {
    let ranks = |ratios: &Ratios| (1..=1_000).map(|rank| ratios.quantile(rank)).collect::<Vec<_>>().into();
    let row = |row: &report::MeterRow| MeterRow {
        provider: row.provider.clone(),
        model: row.model.clone(),
        has_tools: row.has_tools,
        method: row.method.name().to_owned(),
        calls: row.calls as i64,
        overruns: row.overruns as i64,
        truth_over_count: ranks(&row.truth_over_count),
        bound_over_truth: ranks(&row.bound_over_truth),
    };
    MeterReport {
        rows: report.rows.iter().map(row).collect(),
        dropped_entries: report.dropped_entries as i64,
        text: report.to_string(),
    }
}

pub(crate) fn summary_of(summary: report::Summary) -> Summary {
    let attempt = |line: &report::AttemptLine| AttemptLine {
        number: line.number,
        outcome: line.standing.name().to_owned(),
        reason: line.reason.clone(),
        figures: figures(&line.figures),
    };
    let loss = |loss: &report::Loss| Loss {
        what: loss.what.to_owned(),
        spent: nanos(loss.usd),
        calls: loss.calls as i64,
    };
    Summary {
        name: summary.name.clone(),
        id: summary.id.to_string(),
        caller_id: summary.caller_id.clone(),
        outcome: summary.standing.name().to_owned(),
        spent: nanos(summary.spent()),
        pending: nanos(summary.balance.pending.usd()),
        in_doubt: nanos(summary.balance.in_doubt.usd()),
        unrecorded_calls: summary.unrecorded_calls as i64,
        available: summary.available.map(nanos),
        totals: figures(&summary.figures),
        attempts: summary.attempts.iter().map(attempt).collect(),
        by_model: summary.by_model.iter().map(row).collect(),
        bought_nothing: summary.bought_nothing.iter().map(loss).collect(),
        text: summary.to_string(),
    }
}
