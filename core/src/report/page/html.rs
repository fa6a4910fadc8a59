//! What is the text of a page? HTML that trusts no name.
//!
//! Every name is shown without control characters and escaped, in tables as HTML, in the figures of
//! the charts as JSON that cannot end its element. The policy in the head lets the page's own script
//! and style run, by their digests, and nothing else; no address is ever asked.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        attribution::Tokens,
        rows::Row,
        text::{count, shown},
    },
    Page,
};
use crate::{policy::limit::show_time, value::Money};

/// The chart library, unchanged; `core/charts/fetch.py` says which.
const LIBRARY: &str = include_str!("../../../charts/uplot.js");
const LIBRARY_STYLE: &str = include_str!("../../../charts/uplot.css");
const LICENSE: &str = include_str!("../../../charts/LICENSE-uPlot");
const SCRIPT: &str = include_str!("../../../charts/page.js");
const STYLE: &str = include_str!("../../../charts/page.css");

/// The whole page.
pub(super) fn written(page: &Page) -> String {
    let script = format!("/* uPlot\n\n{LICENSE}*/\n{LIBRARY}\n{SCRIPT}");
    let style = format!("{LIBRARY_STYLE}\n{STYLE}");
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        digest(&script),
        digest(&style)
    );
    let by = text(&page.report.by.to_string());
    let since = page
        .report
        .since
        .map_or("since the beginning".to_owned(), |at| format!("calls reserved since {}", show_time(at)));
    let made_at = show_time(page.made_at);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <title>Outlay: spending by {by}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n\
        <header><h1>Where the money went</h1><p>by {by}, {since}; made {made_at}</p></header>\n\
        {}<noscript><p class=\"note\">Charts need JavaScript; the tables say the same.</p></noscript>\n\
        {}{}{}{}</main>\n\
        <script type=\"application/json\" id=\"figures\">{}</script>\n<script>{script}</script>\n\
        </body>\n</html>\n",
        tiles(page),
        over_time(page),
        courses(page),
        kinds(page),
        waste(page),
        embedded(&figures(page)),
    )
}

fn digest(source: &str) -> String {
    format!("sha256-{}", BASE64.encode(Sha256::digest(source)))
}

/// A text as HTML shows it, between tags or in quotes.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in shown(raw).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON that may stand in a script element: these characters are only ever within its strings.
fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A number for a chart, which needs no more than a screen shows. Tables have the exact ones.
fn usd(money: Money) -> f64 {
    money.nanos() as f64 / 1e9
}

fn per_mille(share: u32) -> String {
    format!("{}.{} %", share / 10, share % 10)
}

struct Table<'a> {
    caption: &'a str,
    headings: &'a [&'a str],
    /// How many columns are text; the others are figures.
    texts: usize,
}

impl Table<'_> {
    fn written(&self, rows: impl IntoIterator<Item = Vec<String>>) -> String {
        let Self { caption, headings, texts } = self;
        let mut out = format!(
            "<div class=\"table\"><table class=\"t{texts}\"><caption>{caption}</caption>\n<thead><tr>"
        );
        for heading in *headings {
            let _ = write!(out, "<th scope=\"col\">{}</th>", text(heading));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            let mut cells = row.iter().map(|cell| text(cell));
            let _ = write!(out, "<tr><th scope=\"row\">{}</th>", cells.next().unwrap_or_default());
            for cell in cells {
                let _ = write!(out, "<td>{cell}</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
        out
    }
}

/// One part of the page: a chart, if there is anything to draw, and what says the same in words.
fn section(id: &str, heading: &str, said: &str, tables: &str) -> String {
    format!(
        "<section aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{heading}</h2>\n<p>{said}</p>\n\
        <div class=\"chart\" id=\"{id}\" aria-hidden=\"true\"></div>\n{tables}</section>\n"
    )
}

fn tiles(page: &Page) -> String {
    let totals = &page.report.totals;
    let tokens = totals.tokens.input.saturating_add(totals.tokens.output);
    let mut tiles = vec![
        ("spent, USD", totals.spent().decimal()),
        ("of it in doubt", totals.in_doubt().decimal()),
        ("pending", totals.pending().decimal()),
        ("found wasteful", page.waste.wasted().decimal()),
        ("calls", count(totals.calls())),
        ("tokens", count(tokens)),
    ];
    tiles.retain(|(name, value)| value != "0.00" || *name == "spent, USD");
    let mut out = "<dl class=\"tiles\">".to_owned();
    for (name, value) in tiles {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>\n");
    for note in page.report.notes() {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", text(&note));
    }
    out
}

const ROW: [&str; 11] = [
    "",
    "calls",
    "tool calls",
    "input",
    "cached",
    "output",
    "reasoning",
    "spent",
    "in doubt",
    "pending",
    "share",
];

fn row(row: &Row) -> Vec<String> {
    let figures = &row.figures;
    let Tokens { input, cache_read, output, reasoning, .. } = figures.tokens;
    let counts = [figures.calls(), figures.tool_calls(), input, cache_read, output, reasoning];
    let money = [figures.spent(), figures.in_doubt(), figures.pending()];
    let cells = counts.map(count).into_iter().chain(money.map(Money::decimal));
    [row.label()].into_iter().chain(cells).chain([per_mille(row.share_per_mille)]).collect()
}

fn over_time(page: &Page) -> String {
    let report = &page.report;
    let (by, figures) = (report.by.to_string(), report.totals);
    let share_per_mille = figures.share_per_mille(&figures);
    let total = Row { key: Some("total".to_owned()), task: None, attempt: None, figures, share_per_mille };
    let mut headings = ROW;
    headings[0] = &by;
    let caption = "Where it went, tokens and USD";
    let sums = Table { caption, headings: &headings, texts: 1 };
    let sums = sums.written(report.rows.iter().chain([&total]).map(row));
    let times = &page.over_time;
    let mut headings = vec!["from (UTC)"];
    headings.extend(times.series.iter().map(|(label, _)| label.as_str()));
    let slots = times.starts.iter().enumerate().map(|(slot, start)| {
        let own = times.series.iter().map(|(_, usd)| usd[slot].decimal());
        [show_time(*start)].into_iter().chain(own).collect()
    });
    let slots =
        Table { caption: "USD by when a call was reserved", headings: &headings, texts: 1 }.written(slots);
    let tables = format!("{sums}<details><summary>The chart as a table</summary>{slots}</details>\n");
    section("time", "Cost over time", "USD, by when calls were reserved.", &tables)
}

fn courses(page: &Page) -> String {
    let rows = page.courses.iter().map(|course| {
        let limit =
            |(usd, hard): &(Money, bool)| format!("{}{}", usd.decimal(), if *hard { "" } else { " soft" });
        let limits: Vec<_> = course.limits.iter().map(limit).collect();
        let state = course.state.standing.name().to_owned();
        let tail = [course.state.attempts.to_string(), count(course.calls()), course.spent().decimal()];
        [course.label.clone(), state].into_iter().chain(tail).chain([limits.join(", ")]).collect()
    });
    let headings = ["task", "latest attempt", "attempts", "calls", "spent", "limit"];
    let table =
        Table { caption: "The dearest tasks with all inside them, USD", headings: &headings, texts: 2 };
    let said = "What the dearest tasks had cost after each of their calls, and their limits. \
        <label id=\"pick\" hidden>Task <select></select></label>";
    section("course", "Cost by call", said, &table.written(rows))
}

fn kinds(page: &Page) -> String {
    let rows = page.kinds.kinds.iter().map(|kind| {
        let quantiles = [500, 950, 990, 1_000].map(|at| kind.quantile(at).decimal());
        let ends = [count(kind.runs() as u64), kind.spent.decimal()];
        [kind.label.clone()].into_iter().chain(ends).chain(quantiles).collect()
    });
    let headings = ["kind", "runs", "spent", "median", "p95", "p99", "most"];
    let table = Table { caption: "Cost of a run, USD", headings: &headings, texts: 1 };
    let said = "How many runs cost how much. A run is an attempt at an outermost task, with all inside it; \
        its kind is its tag `kind`, else the task's name.";
    section("kinds", "What a run costs", said, &table.written(rows))
}

fn waste(page: &Page) -> String {
    let waste = &page.waste;
    let settled = i128::from(waste.settled.nanos());
    let rows = waste.kinds.iter().map(|one| {
        let share = (i128::from(one.usd.nanos()) * 1_000).checked_div(settled).unwrap_or(0);
        let cells = [count(one.calls), one.usd.decimal(), one.redone.decimal(), per_mille(share as u32)];
        [one.kind.name(), one.kind.advice()].map(str::to_owned).into_iter().chain(cells).collect()
    });
    let headings = ["kind", "what to do", "calls", "wasted", "later redone", "of settled"];
    let table = Table { caption: "What was paid for nothing, USD", headings: &headings, texts: 2 };
    let said = format!(
        "Of {} settled, {} were found to buy nothing. No cent is in two kinds.",
        waste.settled,
        waste.wasted()
    );
    section("waste", "Waste", &said, &table.written(rows))
}

/// What the charts draw.
fn figures(page: &Page) -> Value {
    let times = &page.over_time;
    let series = times.series.iter().map(|(label, values)| {
        json!({ "label": shown(label), "values": values.iter().copied().map(usd).collect::<Vec<_>>() })
    });
    let courses = page.courses.iter().map(|course| {
        let (calls, spent): (Vec<_>, Vec<_>) =
            course.points.iter().map(|(calls, spent)| (*calls, usd(*spent))).unzip();
        let limits = course.limits.iter().map(|(limit, hard)| json!({ "usd": usd(*limit), "hard": hard }));
        json!({
            "label": shown(&course.label),
            "calls": calls,
            "usd": spent,
            "limits": limits.collect::<Vec<_>>(),
        })
    });
    let kinds =
        page.kinds.kinds.iter().map(|kind| json!({ "label": shown(&kind.label), "values": kind.bins }));
    let wasted = page.waste.kinds.iter().map(|one| json!({ "label": one.kind.name(), "usd": usd(one.usd) }));
    json!({
        "time": {
            "slot_ms": times.slot_ms,
            "starts": times.starts,
            "series": series.collect::<Vec<_>>(),
        },
        "courses": courses.collect::<Vec<_>>(),
        "kinds": {
            "edges": page.kinds.edges.iter().copied().map(usd).collect::<Vec<_>>(),
            "series": kinds.collect::<Vec<_>>(),
        },
        "waste": { "settled": usd(page.waste.settled), "kinds": wasted.collect::<Vec<_>>() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_what_it_stands_in() {
        let name = "</script><!--<script>alert('x')&\u{202e}\"";
        assert_eq!(text(name), "&lt;/script&gt;&lt;!--&lt;script&gt;alert(&#39;x&#39;)&amp;\\u{202e}&quot;");
        let inside = embedded(&json!({ name: name }));
        assert!(!inside.contains(['<', '>', '&']), "{inside}");
        assert_eq!(serde_json::from_str::<Value>(&inside).unwrap(), json!({ name: name }));
    }

    #[test]
    fn what_is_bundled_ends_no_element() {
        for source in [LIBRARY, SCRIPT, LIBRARY_STYLE, STYLE] {
            let source = source.to_lowercase();
            assert!(!source.contains("</s") && !source.contains("<!--"));
        }
        assert!(LICENSE.contains("The MIT License") && !LICENSE.contains("*/"));
    }
}
