//! What does each call cost elsewhere? The fold behind `whatif`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    tokenizers::{TokenRatio, Tokenizer},
    whatif::{Repriced, WhatIfOptions},
};
use crate::{
    error::{ErrorKind, Result},
    ledger::{
        Entry, Kind, flag,
        store::{Filter, Tx},
    },
    meter::{ModelPrice, PriceBook, ServiceTier},
    run::model::Asked,
    value::{Id, Millis, Money, Usage},
};

const MINUTE: Millis = 60_000;

/// Why a call cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Tool,
    NoRecord,
    NoPrice,
    TooLong,
}

impl Missing {
    pub const ALL: [Self; 4] = [Self::Tool, Self::NoRecord, Self::NoPrice, Self::TooLong];
    pub const COUNT: usize = Self::ALL.len();

    pub const fn words(self) -> &'static str {
        match self {
            Self::Tool => "calls of tools",
            Self::NoRecord => "what they cost is not known",
            Self::NoPrice => "no price is known there",
            Self::TooLong => "they do not fit that model",
        }
    }
}

/// The calls of a task that asked for one model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub figures: Repriced,
    pub missing: [u64; Missing::COUNT],
}

/// From a recorded model to the one that might have been.
#[derive(Debug)]
pub(super) struct Route {
    pub model: Option<String>,
    pub target: Option<String>,
    pub ratio: Option<TokenRatio>,
    provider: Option<String>,
    wanted: String,
    /// The latest price that was asked for: its minute, and whether it is that of a region.
    price: Option<(Millis, bool, Option<Arc<ModelPrice>>)>,
}

/// A call that may still change.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    place: u32,
    at: Millis,
    price: u32,
    is_tool: bool,
    flags: u32,
    usd: i64,
    usage: Option<Usage>,
}

pub(super) struct Fold<'a> {
    pub estimated_calls: u64,
    pub cached_tokens: u64,
    pub media_calls: u64,
    prices: &'a PriceBook,
    asked: &'a WhatIfOptions,
    /// The words of the dictionary a call is priced by.
    words: FxHashMap<u32, String>,
    served: FxHashMap<u32, (ServiceTier, bool)>,
    routes: Vec<Route>,
    route_of: FxHashMap<(u32, u32), u32>,
    places: Vec<(u32, u32, Sums)>,
    place_of: FxHashMap<(u32, u32), u32>,
    waiting: FxHashMap<Id, Waiting>,
}

impl<'a> Fold<'a> {
    pub fn read(
        tx: &mut dyn Tx,
        prices: &'a PriceBook,
        asked: &'a WhatIfOptions,
        filter: Filter,
    ) -> Result<Self> {
        let mut words = FxHashMap::default();
        for key in ["provider", "model"] {
            tx.names_of(key, &mut |no, text| drop(words.insert(no, text.to_owned())))?;
        }
        let mut served = FxHashMap::default();
        tx.names_of("price", &mut |no, text| {
            let Asked { tier, is_regional, .. } = Asked::again(None, "", text);
            served.insert(no, (tier, is_regional));
        })?;
        let mut fold = Self {
            estimated_calls: 0,
            cached_tokens: 0,
            media_calls: 0,
            prices,
            asked,
            words,
            served,
            routes: Vec::new(),
            route_of: FxHashMap::default(),
            places: Vec::new(),
            place_of: FxHashMap::default(),
            waiting: FxHashMap::default(),
        };
        let mut failure = None;
        tx.bills(filter, &mut |entry| {
            failure = fold.add(entry).err();
            failure.is_none()
        })?;
        failure.map_or(Ok(()), Err)?;
        for call in std::mem::take(&mut fold.waiting).into_values() {
            fold.end(&call)?;
        }
        Ok(fold)
    }

    pub fn places(&self) -> impl Iterator<Item = (u32, u32, &Sums)> {
        self.places.iter().map(|(task, route, sums)| (*task, *route, sums))
    }

    pub fn route(&self, number: u32) -> Option<&Route> {
        self.routes.get(number as usize)
    }

    fn add(&mut self, entry: &Entry) -> Result<()> {
        let Some(id) = entry.call else { return Ok(()) };
        match entry.kind {
            Kind::Reserved => {
                let place = self.place(entry);
                let (at, price, is_tool) = (entry.at_ms, entry.price, entry.llm_calls == 0);
                let call = Waiting { place, at, price, is_tool, flags: 0, usd: 0, usage: None };
                self.waiting.insert(id, call);
            }
            Kind::Settled | Kind::Corrected => {
                let Some(call) = self.waiting.get_mut(&id) else { return Ok(()) };
                call.usd = call.usd.saturating_add(entry.usd);
                (call.usage, call.flags) = (Some(entry.usage()), entry.flags);
                call.price = if entry.price == 0 { call.price } else { entry.price };
                if !entry.has(flag::ESTIMATED) {
                    let call = *call;
                    self.waiting.remove(&id);
                    return self.end(&call);
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn place(&mut self, entry: &Entry) -> u32 {
        let route = self.route_for(entry);
        let places = &mut self.places;
        *self.place_of.entry((entry.task, route)).or_insert_with(|| {
            places.push((entry.task, route, Sums::default()));
            places.len() as u32 - 1
        })
    }

    fn route_for(&mut self, entry: &Entry) -> u32 {
        let Self { prices, asked, words, routes, .. } = self;
        *self.route_of.entry((entry.provider, entry.model_asked)).or_insert_with(|| {
            let recorded = words.get(&entry.provider).cloned();
            let model = words.get(&entry.model_asked).cloned();
            let own = recorded.as_deref().filter(|_| asked.model.is_none());
            let provider = asked.provider.as_deref().or(own).map(str::to_owned);
            let wanted = asked.model.clone().or_else(|| model.clone()).unwrap_or_default();
            let price = prices.find(provider.as_deref(), &wanted, entry.at_ms).ok();
            let ratio = price.as_deref().zip(model.as_deref()).map(|(price, model)| {
                let same = asked.model.as_deref().is_none_or(|wanted| wanted == model);
                let before = prices.find(recorded.as_deref(), model, entry.at_ms);
                let before = before.map_or_else(|_| Tokenizer::named(model), |price| Tokenizer::of(&price));
                if same { TokenRatio::SAME } else { before.ratio_to(Tokenizer::of(price)) }
            });
            let target = price.as_deref().map(|price| format!("{}/{}", price.provider, price.model));
            routes.push(Route { model, target, ratio, provider, wanted, price: None });
            routes.len() as u32 - 1
        })
    }

    /// Adds a call of which no more is to come, but for a late correction.
    fn end(&mut self, call: &Waiting) -> Result<()> {
        let Some(usage) = call.usage else { return Ok(()) };
        let repriced = self.reprice(call, &usage)?;
        let Some((_, _, sums)) = self.places.get_mut(call.place as usize) else { return Ok(()) };
        let recorded = Money::from_nanos(call.usd);
        match repriced {
            Ok((least, most)) => {
                self.estimated_calls += u64::from(call.flags & flag::ESTIMATED != 0);
                self.cached_tokens = self.cached_tokens.saturating_add(usage.cache_read_tokens);
                self.media_calls += u64::from(media_of(&usage) != [0, 0]);
                sums.figures.add(&Repriced { calls: 1, recorded, least, most, ..Repriced::default() })
            }
            Err(missing) => {
                sums.missing[missing as usize] += 1;
                sums.figures.add(&Repriced { left_out_calls: 1, left_out: recorded, ..Repriced::default() })
            }
        }
    }

    /// What it would have cost at least and at most.
    fn reprice(
        &mut self,
        call: &Waiting,
        usage: &Usage,
    ) -> Result<std::result::Result<(Money, Money), Missing>> {
        let route = self.places.get(call.place as usize).map(|(_, route, _)| *route as usize);
        let Some(route) = route.and_then(|route| self.routes.get_mut(route)) else {
            return Ok(Err(Missing::NoPrice));
        };
        if call.is_tool {
            return Ok(Err(Missing::Tool));
        }
        if call.flags & flag::UNPRICED != 0 {
            return Ok(Err(Missing::NoRecord));
        }
        let (tier, is_regional) = self.served.get(&call.price).copied().unwrap_or_default();
        let (tier, is_regional) =
            (self.asked.tier.unwrap_or(tier), is_regional && self.asked.model.is_none());
        let price = route.price_at(self.prices, call.at, is_regional);
        let (Some(price), Some(ratio)) = (price, route.ratio) else { return Ok(Err(Missing::NoPrice)) };
        let (least, most) =
            (scaled(usage, ratio.low_per_mille, false), scaled(usage, ratio.high_per_mille, true));
        // A charge takes standard for a discount nobody knows; here that would be an answer of our making.
        if self.asked.tier.is_some_and(|tier| !price.lists(tier)) {
            return Ok(Err(Missing::NoPrice));
        }
        let fits = |tokens: u64, most: Option<u64>| most.is_none_or(|most| tokens <= most);
        if self.asked.model.is_some()
            && !(fits(least.input_tokens, price.context_window)
                && fits(least.output_tokens, price.max_output_tokens))
        {
            return Ok(Err(Missing::TooLong));
        }
        let mut amounts = [Money::ZERO; 2];
        for (index, usage) in [least, most].into_iter().enumerate() {
            if index == 1 && most == least {
                amounts[1] = amounts[0];
                break;
            }
            match price.amount_served(&usage, tier) {
                Ok((charge, _)) => amounts[index] = charge,
                Err(error) if error.kind() == ErrorKind::Unpriced => return Ok(Err(Missing::NoPrice)),
                Err(error) => return Err(error),
            }
        }
        // A discount for long requests would turn them round.
        Ok(Ok((amounts[0].min(amounts[1]), amounts[0].max(amounts[1]))))
    }
}

impl Route {
    /// What the target cost then; nothing where nobody knows.
    fn price_at(&mut self, prices: &PriceBook, at: Millis, is_regional: bool) -> Option<Arc<ModelPrice>> {
        let minute = at.div_euclid(MINUTE);
        let is_known = self
            .price
            .as_ref()
            .is_some_and(|(own, of_region, _)| (*own, *of_region) == (minute, is_regional));
        if !is_known {
            let price = prices.known(self.provider.as_deref(), &self.wanted, at);
            let price = if is_regional {
                price.and_then(|price| price.in_region().ok()).map(Arc::new)
            } else {
                price
            };
            self.price = Some((minute, is_regional, price));
        }
        self.price.as_ref().and_then(|(_, _, price)| price.clone())
    }
}

/// Tokens of input and output that are not text.
const fn media_of(usage: &Usage) -> [u64; 2] {
    [
        usage.input_audio_tokens + usage.input_image_tokens,
        usage.output_audio_tokens + usage.output_image_tokens,
    ]
}

/// A usage whose text has so many tokens for a thousand. Images and sounds keep theirs.
fn scaled(usage: &Usage, per_mille: u32, is_up: bool) -> Usage {
    if per_mille == 1_000 {
        return *usage;
    }
    let times = |tokens: u64| {
        let product = u128::from(tokens) * u128::from(per_mille);
        u64::try_from(if is_up { product.div_ceil(1_000) } else { product / 1_000 }).unwrap_or(u64::MAX)
    };
    let [input_media, output_media] = media_of(usage);
    let whole =
        |tokens: u64, media: u64| times(tokens.saturating_sub(media)).saturating_add(media.min(tokens));
    let (input, output) = (whole(usage.input_tokens, input_media), whole(usage.output_tokens, output_media));
    let mut left = input;
    let mut part = |tokens: u64| {
        let part = times(tokens).min(left);
        left -= part;
        part
    };
    Usage {
        cache_read_tokens: part(usage.cache_read_tokens),
        cache_write_tokens: part(usage.cache_write_tokens),
        cache_write_1h_tokens: part(usage.cache_write_1h_tokens),
        reasoning_tokens: times(usage.reasoning_tokens).min(output),
        input_tokens: input,
        output_tokens: output,
        ..*usage
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scaled_usage_is_believable_and_grows_with_the_ratio(
            parts in prop::array::uniform7(0..2_000_000_u64),
            ratio in 100..2_000_u32,
            more in 0..500_u32,
        ) {
            let [read, write, hour, plain, image, reasoning, output] = parts;
            let usage = Usage {
                cache_read_tokens: read,
                cache_write_tokens: write,
                cache_write_1h_tokens: hour,
                input_image_tokens: image.min(read + plain),
                reasoning_tokens: reasoning,
                ..Usage::tokens(read + write + hour + plain, reasoning + output)
            };
            let (least, most) = (scaled(&usage, ratio, false), scaled(&usage, ratio + more, true));
            prop_assert!(least.check().is_ok() && most.check().is_ok(), "{least:?} {most:?}");
            prop_assert!(least.input_tokens <= most.input_tokens);
            prop_assert!(least.output_tokens <= most.output_tokens);
            prop_assert_eq!(scaled(&usage, 1_000, true), usage);
        }
    }

    #[test]
    fn what_is_text_is_scaled_and_what_is_not_is_kept() {
        let usage = Usage { cache_read_tokens: 101, input_image_tokens: 500, ..Usage::tokens(1_500, 10) };
        let least = Usage { cache_read_tokens: 111, ..Usage::tokens(1_600, 11) };
        assert_eq!(scaled(&usage, 1_100, false), Usage { input_image_tokens: 500, ..least });
        let most = Usage { cache_read_tokens: 112, ..Usage::tokens(1_600, 11) };
        assert_eq!(scaled(&usage, 1_100, true), Usage { input_image_tokens: 500, ..most });
    }
}
