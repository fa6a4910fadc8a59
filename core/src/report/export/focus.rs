//! Which columns has a charge in FOCUS 1.2?
//!
//! `ListCost` and `ContractedCost` are quantity times unit price to the last digit, pico-USD; what the
//! ledger settled, rounded up to nano-USD once a call, is `BilledCost` and `EffectiveCost`.

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    Line, Names, Page, Rows,
    charges::{CALL, Charge, Charged, Charges, shares},
};
use crate::{
    error::Result,
    ledger::{flag, store::Tx},
    policy::limit::show_time,
    report::text::csv_cell,
    value::{Millis, Money},
};

const HOUR: Millis = 3_600_000;
/// The columns of FOCUS by name, then our own.
const COLUMNS: [&str; 49] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "Tags",
    "x_RowId",
    "x_EntryNumber",
    "x_CallId",
    "x_TaskId",
    "x_TaskName",
    "x_AttemptNumber",
    "x_StepName",
    "x_TurnName",
    "x_ModelName",
    "x_IsEstimated",
];

/// Who sells it, and as what, by the book's word for the provider. Others go by that word.
const SERVICES: [(&str, &str, &str); 19] = [
    ("anthropic", "Anthropic", "Claude API"),
    ("aws", "Amazon Web Services", "Amazon Bedrock"),
    ("azure", "Microsoft", "Azure AI Foundry"),
    ("bedrock", "Amazon Web Services", "Amazon Bedrock"),
    ("cohere", "Cohere", "Cohere API"),
    ("deepseek", "DeepSeek", "DeepSeek API"),
    ("fireworks", "Fireworks AI", "Fireworks AI"),
    ("google", "Google", "Gemini API"),
    ("groq", "Groq", "GroqCloud"),
    ("mistral", "Mistral AI", "Mistral API"),
    ("openai", "OpenAI", "OpenAI API"),
    ("openrouter", "OpenRouter", "OpenRouter"),
    ("perplexity", "Perplexity", "Perplexity API"),
    ("together", "Together AI", "Together AI"),
    ("vertex", "Google", "Vertex AI"),
    ("xai", "xAI", "xAI API"),
    // Makers of models that others sell.
    ("amazon", "Amazon", "Amazon Bedrock"),
    ("meta", "Meta", "Llama API"),
    ("meta-llama", "Meta", "Llama API"),
];

fn service(provider: &str) -> (&str, &str) {
    let known = SERVICES.iter().find(|(own, ..)| *own == provider);
    known.map_or((provider, provider), |(_, seller, service)| (seller, service))
}

pub(super) struct Focus {
    account: String,
    charges: Charges,
}

impl Focus {
    pub fn new(account: String) -> Self {
        Self { account, charges: Charges::default() }
    }
}

impl Rows for Focus {
    fn heading(&self) -> String {
        COLUMNS.join(",") + "\r\n"
    }

    fn add(&mut self, tx: &mut dyn Tx, line: &Line, names: &mut Names, page: &mut Page) -> Result<()> {
        let Some(charge) = self.charges.add(tx, line, names)? else { return Ok(()) };
        if !line.within {
            return Ok(());
        }
        page.exported.unpriced_calls += u64::from(line.entry.has(flag::UNPRICED));
        page.settle(line.entry.usd)?;
        if charge.lines.is_empty() {
            return Ok(());
        }
        let told = Told::read(tx, line, &charge, names)?;
        let shares = shares(&charge.lines, line.entry.usd);
        for (index, (charged, usd)) in charge.lines.iter().zip(shares).enumerate() {
            let row = self.row(line, &told, charged, Money::from_nanos(usd), index);
            for (index, cell) in row.iter().enumerate() {
                page.text.push_str(if index == 0 { "" } else { "," });
                page.text.push_str(cell);
            }
            page.text.push_str("\r\n");
            page.exported.rows += 1;
        }
        Ok(())
    }
}

/// What all rows of an entry say.
struct Told {
    provider: String,
    model_asked: String,
    model_used: String,
    price: String,
    tags: String,
    task_id: String,
    task: String,
    step: String,
    turn: String,
    row_id: String,
    is_correction: bool,
    month: [String; 2],
    hour: [String; 2],
}

impl Told {
    fn read(tx: &mut dyn Tx, line: &Line, charge: &Charge, names: &mut Names) -> Result<Self> {
        let entry = &line.entry;
        let mut text = |no| names.text(tx, no).map(Option::unwrap_or_default);
        let [provider, model_asked, price, used] =
            [text(charge.provider)?, text(charge.model_asked)?, text(charge.price)?, text(entry.model_used)?];
        let [step, turn] = [text(charge.step)?, text(charge.turn)?];
        let (task, id) = names.task(tx, entry.task)?;
        let tags: Map<String, Value> =
            names.tags(tx, entry.task)?.into_iter().map(|(key, value)| (key, value.into())).collect();
        let (start, end) = (hour_of(entry.at_ms), hour_of(entry.at_ms) + HOUR);
        let month = month_of(entry.at_ms);
        let provider = if provider.is_empty() { "unknown".to_owned() } else { provider };
        Ok(Self {
            provider,
            model_used: if used.is_empty() { model_asked.clone() } else { used },
            model_asked,
            price,
            tags: Value::Object(tags).to_string(),
            task_id: id.map_or_else(String::new, |id| id.to_string()),
            task: task.unwrap_or_default(),
            step,
            turn,
            row_id: format!("{}/{}", charge.call, entry.kind.name()),
            is_correction: charge.corrects.is_some_and(|at| month_of(at) != month),
            month,
            hour: [show_time(start), show_time(end)],
        })
    }
}

impl Told {
    /// What is sold, and at which price.
    fn sku(&self, unit: &str, each: &str) -> (String, String) {
        let sku = format!("{}/{}/{unit}", self.provider, self.model_asked);
        let version = self.price.split_once(": ").map_or("", |(head, _)| head);
        let priced = format!("{sku}@{version} {each}");
        (sku, priced)
    }
}

impl Focus {
    fn row(&self, line: &Line, told: &Told, charged: &Charged, usd: Money, index: usize) -> [String; 49] {
        let text = |text: &str| csv_cell(text).into_owned();
        let (seller, service_name) = service(&told.provider);
        let (unit, meter) = (unit_of(charged.unit), meter_of(charged.unit));
        let consumed =
            if charged.tokens == 0 { (charged.quantity, unit) } else { (charged.tokens, "Tokens") };
        let (cost, each) = (pico_text(charged.pico()), pico_text(charged.pico_each));
        let (sku, sku_price) = told.sku(charged.unit, &each);
        let spent = usd.decimal();
        let described = format!("{meter} of {} for {}", told.model_used, told.task);
        [
            spent.clone(),
            text(&self.account),
            String::new(),
            "USD".to_owned(),
            told.month[1].clone(),
            told.month[0].clone(),
            "Usage".to_owned(),
            (if told.is_correction { "Correction" } else { "" }).to_owned(),
            text(&described),
            "Usage-Based".to_owned(),
            told.hour[1].clone(),
            told.hour[0].clone(),
            String::new(),
            quantity_text(consumed.0),
            consumed.1.to_owned(),
            cost.clone(),
            each.clone(),
            spent.clone(),
            String::new(),
            text(seller),
            cost,
            each.clone(),
            "Standard".to_owned(),
            "USD".to_owned(),
            each.clone(),
            spent,
            each,
            quantity_text(charged.quantity),
            unit.to_owned(),
            text(seller),
            text(publisher(&told.model_asked).unwrap_or(seller)),
            "AI and Machine Learning".to_owned(),
            text(service_name),
            "Generative AI".to_owned(),
            text(&sku),
            meter,
            String::new(),
            text(&sku_price),
            text(&told.tags),
            format!("{}/{index}", told.row_id),
            line.seq.to_string(),
            told.row_id.split('/').next().unwrap_or_default().to_owned(),
            told.task_id.clone(),
            text(&told.task),
            line.entry.attempt.to_string(),
            text(&told.step),
            text(&told.turn),
            text(&told.model_used),
            line.entry.has(flag::ESTIMATED).to_string(),
        ]
    }
}

/// Who made a model that somebody else sells, where its name begins with that.
fn publisher(model: &str) -> Option<&str> {
    let names = model.split(['.', '/']).rev().skip(1);
    names.into_iter().find_map(|name| {
        let known = SERVICES.iter().find(|(own, ..)| *own == name);
        known.map(|(_, maker, _)| *maker)
    })
}

fn unit_of(unit: &str) -> &'static str {
    match unit {
        CALL | "request" => "Requests",
        "web_search" => "Searches",
        _ => "Tokens",
    }
}

fn meter_of(unit: &str) -> String {
    let words = unit.split('_').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => String::new(),
    });
    let words = words.collect::<Vec<_>>().join(" ");
    if unit_of(unit) == "Tokens" { format!("{words} Tokens") } else { words }
}

const fn hour_of(at: Millis) -> Millis {
    at - at.rem_euclid(HOUR)
}

/// The month a time lies in, from its first moment to that of the next, in UTC.
fn month_of(at: Millis) -> [String; 2] {
    let text = |moment: DateTime| {
        let zoned = moment.to_zoned(TimeZone::UTC);
        zoned.map_or_else(|_| String::new(), |zoned| zoned.timestamp().to_string())
    };
    let time = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::UTC);
    let first = time.date().first_of_month();
    let next = first.checked_add(1.month()).unwrap_or(first);
    [first, next].map(|date| text(date.to_datetime(jiff::civil::Time::midnight())))
}

/// A decimal even where it is whole: who guesses types by a file must not take it for an integer.
fn quantity_text(quantity: i64) -> String {
    format!("{quantity}.0")
}

/// Pico-USD as a decimal of USD.
fn pico_text(pico: i128) -> String {
    const USD: u128 = 1_000_000_000_000;
    let sign = if pico < 0 { "-" } else { "" };
    let (whole, rest) = (pico.unsigned_abs() / USD, pico.unsigned_abs() % USD);
    let fraction = format!("{rest:012}");
    format!("{sign}{whole}.{}", &fraction[..fraction.trim_end_matches('0').len().max(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_told_by_its_bounds() {
        let december = ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"];
        assert_eq!(month_of(1_798_761_599_999), december);
        assert_eq!(month_of(1_796_083_200_000), december);
    }

    #[test]
    fn pico_usd_are_written_in_full() {
        for (pico, text) in [(37_500, "0.0000000375"), (-1, "-0.000000000001"), (0, "0.00")] {
            assert_eq!(pico_text(pico), text);
        }
    }

    #[test]
    fn a_publisher_is_named_by_the_model() {
        let cases = [
            ("us.anthropic.claude-sonnet-4-5-v1:0", Some("Anthropic")),
            ("mistralai/devstral-2", None),
            ("openai/gpt-oss-120b", Some("OpenAI")),
            ("gpt-4.1", None),
        ];
        for (model, maker) in cases {
            assert_eq!(publisher(model), maker, "{model}");
        }
    }

    #[test]
    fn meters_are_readable() {
        assert_eq!(["cache_write_1h", "request"].map(meter_of), ["Cache Write 1h Tokens", "Request"]);
    }
}
