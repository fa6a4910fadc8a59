//! What does a model cost, and what would another book change?

use std::path::Path;

use outlay::{
    Millis, Money, Result,
    meter::{ModelPrice, PriceBook, PriceChange, ServiceTier},
    policy::limit::show_time,
    report::{Since, text::Table},
    run::{prices, process},
};
use serde_json::{Value, json};

use crate::{
    arguments::{PriceDiff, PriceShow, Prices},
    json,
};

/// The most changes that are listed unless JSON is asked for.
const LISTED_MAX: usize = 200;

pub(crate) fn run(command: &Prices) -> Result<String> {
    match command {
        Prices::Show(asked) => show(asked),
        Prices::Diff(asked) => diff(asked),
        Prices::Update { file } => update(file),
    }
}

fn at(given: Option<Since>) -> Millis {
    let now = outlay::Clock::System.now();
    given.map_or(now, |since| since.at(now))
}

fn show(asked: &PriceShow) -> Result<String> {
    let (book, at) = (&process::config()?.prices, at(asked.at));
    let price = book.find(asked.provider.as_deref(), &asked.model, at)?;
    let history = book.history(asked.provider.as_deref(), &asked.model)?;
    let since = history.iter().map(|(from, _)| *from).rfind(|from| *from <= at);
    let next = history.iter().map(|(from, _)| *from).find(|from| *from > at);
    let dated = |at: Option<Millis>| at.filter(|at| *at > Millis::MIN).map(show_time);
    if asked.json.json {
        return Ok(json::printed(&whole(&price, dated(since), dated(next))));
    }
    let mut lines = vec![
        format!(
            "{} of {}, found as {}, prices of {}",
            price.model, price.provider, price.rule, price.version
        ),
        format!("USD per million tokens{}", since_text(dated(since), dated(next))),
        String::new(),
        table(&price).to_string(),
    ];
    let fee = |nanos: i64| Money::from_nanos(nanos).decimal();
    let mut fees = Vec::new();
    if price.request_nanos() > 0 {
        fees.push(format!("request: {} USD", fee(price.request_nanos())));
    }
    fees.extend(price.web_search_nanos().map(|nanos| format!("web search: {} USD", fee(nanos))));
    if !fees.is_empty() {
        lines.extend([String::new(), fees.join(", ")]);
    }
    Ok(lines.join("\n") + "\n")
}

fn since_text(since: Option<String>, next: Option<String>) -> String {
    let since = since.map(|at| format!(", since {at}")).unwrap_or_default();
    let next = next.map(|at| format!(", until {at}")).unwrap_or_default();
    since + &next
}

/// A column for each service tier and context, and one for what is disputed.
fn columns(price: &ModelPrice) -> Vec<(String, Vec<(&'static str, i64)>)> {
    let context = |above: u64| if above == 0 { String::new() } else { format!(" >{above}") };
    let charged = price
        .all_prices()
        .map(|(tier, above, prices)| (format!("{tier}{}", context(above)), prices.apart().collect()));
    let disputed = price
        .disputed_prices()
        .map(|(above, prices)| (format!("disputed{}", context(above)), prices.apart().collect()));
    charged.chain(disputed).collect()
}

fn table(price: &ModelPrice) -> Table {
    let columns = columns(price);
    let names = columns.iter().map(|(name, _)| name.as_str());
    let mut table = Table::new(["unit"].into_iter().chain(names)).left(1);
    for (unit, _) in price.prices(0).named() {
        let cells: Vec<_> = columns
            .iter()
            .map(|(_, prices)| prices.iter().find(|(of, _)| *of == unit).map(|(_, pico)| *pico))
            .collect();
        if cells.iter().any(Option::is_some) {
            let shown = cells.iter().map(|cell| cell.map_or("-".to_owned(), per_million));
            table.row([unit.replace('_', " ")].into_iter().chain(shown));
        }
    }
    table
}

/// Pico-USD per token as USD per million tokens.
fn per_million(pico: i64) -> String {
    Money::from_nanos(pico.saturating_mul(1_000)).decimal()
}

fn whole(price: &ModelPrice, since: Option<String>, next: Option<String>) -> Value {
    let row = |tier: Value, above: u64, prices: &outlay::meter::UnitPrices| {
        let units = prices.apart().map(|(unit, pico)| (unit.to_owned(), Value::from(per_million(pico))));
        json!({ "service_tier": tier, "above_input_tokens": above, "usd_per_million": Value::Object(units.collect()) })
    };
    let code = |tier: ServiceTier| Value::from(tier.code());
    let charged: Vec<_> =
        price.all_prices().map(|(tier, above, prices)| row(code(tier), above, prices)).collect();
    let disputed: Vec<_> = price
        .disputed_prices()
        .map(|(above, prices)| row(code(ServiceTier::Standard), above, prices))
        .collect();
    let fee = |nanos: i64| Money::from_nanos(nanos).decimal();
    json!({
        "provider": &*price.provider,
        "model": &*price.model,
        "rule": price.rule.code(),
        "price_version": &*price.version,
        "since": since,
        "until": next,
        "prices": charged,
        "disputed": disputed,
        "request_usd": fee(price.request_nanos()),
        "web_search_usd": price.web_search_nanos().map(fee),
        "context_window": price.context_window,
        "max_output_tokens": price.max_output_tokens,
    })
}

fn diff(asked: &PriceDiff) -> Result<String> {
    let own = &process::config()?.prices;
    let changes = match &asked.file {
        Some(file) => prices::read(Path::new(file))?.changes(own, at(asked.at)),
        None => own.changes(PriceBook::bundled(), at(asked.at)),
    };
    if asked.json.json {
        return Ok(json::printed(&changes.iter().map(changed).collect()));
    }
    if changes.is_empty() {
        return Ok("no price differs\n".to_owned());
    }
    let mut table = Table::new(["provider", "model", "unit", "before", "after"]).left(3);
    for change in changes.iter().take(LISTED_MAX) {
        let shown = |pico: Option<i64>| pico.map_or("-".to_owned(), |pico| amount(change, pico));
        let provider = if change.provider.is_empty() { "-" } else { &change.provider };
        let (before, after) = (shown(change.before), shown(change.after));
        table.row([provider, &change.model, &change.unit.replace('_', " "), &before, &after]);
    }
    let more = changes.len().saturating_sub(LISTED_MAX);
    let rest = if more > 0 { format!("and {more} more; see `--json`\n") } else { String::new() };
    Ok(format!("{table}\n{rest}"))
}

/// USD apiece for a fee, per million for tokens.
fn amount(change: &PriceChange, pico: i64) -> String {
    let is_fee = matches!(change.unit.as_str(), "request" | "web_search");
    if is_fee { Money::from_nanos(pico / 1_000).decimal() } else { per_million(pico) }
}

fn changed(change: &PriceChange) -> Value {
    let shown = |pico: Option<i64>| pico.map(|pico| amount(change, pico));
    json!({
        "provider": change.provider,
        "model": change.model,
        "unit": change.unit,
        "before_usd": shown(change.before),
        "after_usd": shown(change.after),
    })
}

fn update(file: &str) -> Result<String> {
    let book = prices::read(Path::new(file))?;
    let now = outlay::Clock::System.now();
    let changes = book.changes(PriceBook::bundled(), now);
    let models: std::collections::BTreeSet<_> =
        changes.iter().map(|change| (&change.provider, &change.model)).collect();
    let path = prices::install(Path::new(file))?;
    let (version, count) = (book.version(), models.len());
    Ok(format!(
        "prices of {version} are in {}; {count} models differ from the bundled ones\n",
        path.display()
    ))
}
