//! What was each call charged for? The lines behind every settled amount.
//!
//! The unit prices of a call stand in the ledger beside its usage, so nothing is priced again. Where
//! they do not come to what was settled, as with a charge the provider told, an estimate, or a kind
//! of token that has no column, the call is one line at its whole amount.

use rustc_hash::FxHashMap;

use super::{Line, Names};
use crate::{
    error::Result,
    ledger::{Entry, Kind, flag, store::Tx},
    meter::{UnitPrices, charge_lines},
    value::{Id, Millis, Usage},
};

/// The unit of a call that is charged as a whole.
pub(super) const CALL: &str = "call";
const PICO: i128 = 1_000;

/// So much of a unit at so much; less than none where a correction takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    pub unit: &'static str,
    pub quantity: i64,
    /// Pico-USD for each, never negative.
    pub pico_each: i128,
    /// The tokens of a call that is charged as a whole; else 0.
    pub tokens: i64,
}

impl Charged {
    pub fn pico(&self) -> i128 {
        i128::from(self.quantity) * self.pico_each
    }

    fn whole(usd: i64, tokens: i64) -> Self {
        let quantity = if usd < 0 { -1 } else { 1 };
        Self { unit: CALL, quantity, pico_each: i128::from(usd).abs() * PICO, tokens }
    }

    fn negated(self) -> Self {
        Self { quantity: -self.quantity, tokens: -self.tokens, ..self }
    }
}

/// What is known of a call whose end, or whose truth, may still come.
#[derive(Debug)]
struct Living {
    provider: u32,
    model_asked: u32,
    price: u32,
    step: u32,
    turn: u32,
    settled: Option<Settled>,
}

#[derive(Debug)]
struct Settled {
    at_ms: Millis,
    lines: Vec<Charged>,
}

/// What one entry charges.
#[derive(Debug)]
pub(super) struct Charge {
    pub call: Id,
    pub provider: u32,
    pub model_asked: u32,
    /// Dictionary id of the unit prices.
    pub price: u32,
    pub step: u32,
    pub turn: u32,
    pub lines: Vec<Charged>,
    /// When what it corrects was charged.
    pub corrects: Option<Millis>,
}

/// The fold over entries about calls.
#[derive(Debug, Default)]
pub(super) struct Charges {
    living: FxHashMap<Id, Living>,
}

impl Charges {
    /// What the entry charges; nothing when it charges nothing or its call is kept no longer.
    pub fn add(&mut self, tx: &mut dyn Tx, line: &Line, names: &mut Names) -> Result<Option<Charge>> {
        let entry = &line.entry;
        let Some(id) = entry.call else { return Ok(None) };
        if entry.kind == Kind::Reserved {
            let Entry { provider, model_asked, price, step, turn, .. } = *entry;
            self.living.insert(id, Living { provider, model_asked, price, step, turn, settled: None });
            return Ok(None);
        }
        if !matches!(entry.kind, Kind::Settled | Kind::Corrected) {
            return Ok(None);
        }
        let Some(call) = self.living.get_mut(&id) else { return Ok(None) };
        let price = if entry.price == 0 { call.price } else { entry.price };
        let before = call.settled.take();
        let corrects = before.as_ref().map(|settled| settled.at_ms);
        let before = before.map(|settled| settled.lines).unwrap_or_default();
        let used: i128 = before.iter().map(Charged::pico).sum();
        // An earlier charge was rounded up to whole nano-USD as a whole.
        let usd = entry.usd.saturating_add(i64::try_from(rounded_up(used)).unwrap_or(i64::MAX));
        let text = names.text(tx, price)?.unwrap_or_default();
        let now = lines(&text, &entry.usage(), usd);
        let charge = Charge {
            call: id,
            provider: call.provider,
            model_asked: call.model_asked,
            price,
            step: call.step,
            turn: call.turn,
            lines: difference(&now, &before, entry.usd),
            corrects,
        };
        if entry.has(flag::ESTIMATED) {
            call.settled = Some(Settled { at_ms: entry.at_ms, lines: now });
        } else {
            self.living.remove(&id);
        }
        Ok(Some(charge))
    }
}

fn rounded_up(pico: i128) -> i128 {
    -(-pico).div_euclid(PICO)
}

/// The lines of a usage by unit prices as the dictionary keeps them.
fn lines(price: &str, usage: &Usage, usd: i64) -> Vec<Charged> {
    let tokens = i64::try_from(usage.total_tokens()).unwrap_or(i64::MAX);
    let whole = || if usd == 0 { vec![] } else { vec![Charged::whole(usd, tokens)] };
    let Some((_, units)) = price.split_once(": ") else { return whole() };
    let pico = |unit: &str| {
        let mut pairs = units.split(' ').filter_map(|word| word.split_once('='));
        pairs.find(|(own, _)| *own == unit).and_then(|(_, pico)| pico.parse::<i64>().ok())
    };
    let Some(prices) = UnitPrices::told(pico) else { return whole() };
    let fee = |unit| pico(unit).unwrap_or(0);
    // Some providers bill the searches of a call as one.
    let searches = [usage.web_searches, usage.web_searches.min(1)];
    let made = searches.into_iter().find_map(|searches| {
        let fees = [("request", 1, fee("request")), ("web_search", searches, fee("web_search"))];
        let lines = charge_lines(&prices, usage, &fees).ok()?;
        let each = lines.into_iter().map(|line| {
            let (pico_each, quantity) = (i128::from(line.pico_each), i64::try_from(line.quantity).ok()?);
            Some(Charged { unit: line.unit, quantity, pico_each, tokens: 0 })
        });
        let lines: Vec<Charged> = each.collect::<Option<_>>()?;
        let pico: i128 = lines.iter().map(Charged::pico).sum();
        (rounded_up(pico) == i128::from(usd)).then_some(lines)
    });
    made.unwrap_or_else(whole)
}

/// What comes to it and what goes, which is `usd` in all.
fn difference(now: &[Charged], before: &[Charged], usd: i64) -> Vec<Charged> {
    let mut sum: Vec<Charged> = now.to_vec();
    for line in before.iter().map(|line| line.negated()) {
        let same = sum.iter_mut().find(|own| (own.unit, own.pico_each) == (line.unit, line.pico_each));
        match same {
            Some(own) => {
                own.quantity += line.quantity;
                own.tokens += line.tokens;
            }
            None => sum.push(line),
        }
    }
    sum.retain(|line| line.quantity != 0);
    if sum.is_empty() && usd != 0 {
        sum.push(Charged::whole(usd, 0));
    }
    sum
}

/// What of `usd` each line stands for, to the nano and in all exactly that.
pub(super) fn shares(lines: &[Charged], usd: i64) -> Vec<i64> {
    let (mut pico, mut told) = (0, 0);
    let mut shares: Vec<i64> = lines
        .iter()
        .map(|line| {
            pico += line.pico();
            let share = i64::try_from(pico.div_euclid(PICO)).unwrap_or(i64::MAX) - told;
            told += share;
            share
        })
        .collect();
    if let Some(last) = shares.last_mut() {
        *last += usd - told;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_amount_to_the_nano() {
        let line = |quantity, pico_each| Charged { unit: "input", quantity, pico_each, tokens: 0 };
        let lines = [line(3, 37_500), line(1, 999), line(-2, 500)];
        // 112.5 + 0.999 - 1 nano, rounded up.
        assert_eq!(shares(&lines, 113), [112, 1, 0]);
        assert_eq!(shares(&[], 0), Vec::<i64>::new());
    }

    #[test]
    fn prices_that_do_not_come_to_the_amount_make_one_line() {
        let price = "gpt-4o 2026-11-22: input=2500000 output=10000000";
        let usage = Usage::tokens(1_000, 500);
        let units = |usd| lines(price, &usage, usd).iter().map(|line| line.unit).collect::<Vec<_>>();
        assert_eq!(units(7_500_000), ["input", "output"]);
        assert_eq!(units(7_500_001), [CALL]);
        assert_eq!(lines("told by the provider", &usage, 5), [Charged::whole(5, 1_500)]);
        assert_eq!(lines("", &usage, 0), []);
    }
}
