//! Which calls were waste? One pass over the entries about calls, behind one over the attempts.
//!
//! Kept in memory are the attempts, the hashes of what each of them was answered, and of calls only
//! those that may still change.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{
    attempts::{Attempts, Key, sum},
    names::Names,
    standing::Standing,
    verdicts::is_of_breaker,
    waste::{ContextLoad, WasteKind, WasteReport},
};
use crate::{
    error::Result,
    ledger::{
        Entry, Kind, flag,
        store::{Filter, Tx, Which},
    },
    value::{Id, Millis, Money},
};

/// No provider caches less.
const CACHED_MIN: u64 = 1_024;
/// Caches are read in blocks of so many tokens; what misses less has missed nothing.
const CACHE_BLOCK: u64 = 128;
/// How long a cache is sure to keep what was not read again.
const KEPT_MS: Millis = 300_000;
const PICO: i128 = 1_000;

/// What one kind adds up to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub usd: i64,
    pub redone: i64,
    pub calls: u64,
    /// The dearest first.
    pub items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub usd: i64,
    pub key: Key,
    pub call: Option<Id>,
    pub missed: u64,
    pub differs_at: Option<(u32, u64)>,
}

impl Sum {
    fn add(&mut self, item: Item, redone: bool, calls: u64) -> Result<()> {
        self.usd = sum(self.usd, item.usd)?;
        self.redone = sum(self.redone, if redone { item.usd } else { 0 })?;
        self.calls += calls;
        let at = self.items.partition_point(|other| other.usd >= item.usd);
        if at < WasteReport::ITEMS_MAX {
            self.items.truncate(WasteReport::ITEMS_MAX - 1);
            self.items.insert(at, item);
        }
        Ok(())
    }
}

/// One attempt, as far as its calls are read.
#[derive(Debug, Default)]
struct Run {
    key: Key,
    /// It or what it is part of bought nothing.
    lost: Option<(Key, Standing)>,
    /// The attempts it is part of, itself too.
    within: SmallVec<[Key; 2]>,
    is_untasked: bool,
    /// What it was answered: model and hash of the request.
    answered: FxHashSet<(u32, i64)>,
    last: Option<Last>,
    /// What is left in the cache of a call whose messages nobody read: by its counts alone.
    left: Option<Left>,
    /// Input tokens of its first and latest answer, and how many there were.
    first_input: u64,
    last_input: u64,
    answers: u64,
}

/// The latest call an attempt reserved.
#[derive(Clone, Copy, Debug)]
struct Last {
    id: Id,
    model: u32,
    has_answer: bool,
    at: Millis,
    messages: u32,
    input: u64,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    model: u32,
    at: Millis,
    tokens: u64,
}

/// A call that is not in the sums yet.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Waiting {
    run: u32,
    model: u32,
    at: Millis,
    price: u32,
    hash: i64,
    /// Were its messages read?
    is_read: bool,
    is_model: bool,
    is_settled: bool,
    /// Had the breaker spoken before it was made?
    is_looping: bool,
    /// The kind all of it is in.
    whole: Option<WasteKind>,
    usd: i64,
    /// The tokens a cache could have had, and where the request differs.
    shared: u64,
    /// The input of the call before, where the prefix broke inside of it.
    broken: u64,
    differs_at: (u32, u64),
    tool_tokens: u64,
    input: u64,
    cache_read: u64,
    cache_write: u64,
}

/// Pico-USD per token of plain input, and of input read from a cache where that has its own price.
#[derive(Clone, Copy, Debug)]
struct InputPrice {
    plain: i64,
    cached: Option<i64>,
}

impl InputPrice {
    /// Of unit prices as the dictionary keeps them.
    fn read(text: &str) -> Option<Self> {
        let price = |unit: &str| {
            let pairs = text.split(' ').filter_map(|word| word.split_once('='));
            pairs.filter(|(own, _)| *own == unit).find_map(|(_, pico)| pico.parse::<i64>().ok())
        };
        Some(Self { plain: price("input")?, cached: price("cache_read") })
    }

    /// What tokens cost more than they would have cost from the cache, in nano-USD.
    fn of_missed(&self, tokens: u64) -> i64 {
        let dearer = self.cached.map_or(0, |cached| (self.plain - cached).max(0));
        nanos(tokens, dearer)
    }

    /// What a call paid for its definitions of tools. They come first, so they are read first.
    fn of_tools(&self, call: &Waiting) -> i64 {
        let tools = call.tool_tokens.min(call.input);
        let read = tools.min(call.cache_read);
        nanos(read, self.cached.unwrap_or(self.plain)).saturating_add(nanos(tools - read, self.plain))
    }
}

fn nanos(tokens: u64, pico: i64) -> i64 {
    i64::try_from(i128::from(tokens) * i128::from(pico) / PICO).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
pub(super) struct Fold {
    pub kinds: [Sum; WasteKind::ALL.len()],
    pub settled: i64,
    pub context: ContextLoad,
    attempts: Attempts,
    /// The tasks of calls under no other.
    untasked: FxHashSet<u32>,
    prices: FxHashMap<u32, InputPrice>,
    runs: Vec<Run>,
    index: FxHashMap<Key, u32>,
    waiting: FxHashMap<Id, Waiting>,
    /// What was spent in attempts that bought nothing, and in how many calls.
    lost: FxHashMap<(Key, WasteKind), (i64, u64)>,
    /// The attempts the breaker has spoken of so far.
    judged: FxHashSet<Key>,
}

impl Fold {
    pub fn read(tx: &mut dyn Tx, names: &mut Names, filter: Filter) -> Result<Self> {
        let mut fold = Self { attempts: Attempts::read(tx, names)?, ..Self::default() };
        tx.names_of("price", &mut |no, text| {
            fold.prices.extend(InputPrice::read(text).map(|price| (no, price)));
        })?;
        let name = tx.find_name("name", "default")?;
        let tasks = name.map_or(Ok(Vec::new()), |name| tx.tasks(Which::Named(name), usize::MAX))?;
        let own = tasks.into_iter().filter(|row| row.caller == 0 && row.parent == 0 && row.tags.is_empty());
        fold.untasked = own.map(|row| row.no).collect();
        let mut failure = None;
        tx.requests(filter, &mut |entry| {
            failure = fold.add(entry).err();
            failure.is_none()
        })?;
        failure.map_or(Ok(()), Err)?;
        fold.finish()?;
        Ok(fold)
    }

    /// The number of an attempt's run.
    fn run(&mut self, key: Key) -> u32 {
        let Self { attempts, untasked, runs, .. } = self;
        *self.index.entry(key).or_insert_with(|| {
            let is_untasked = untasked.contains(&key.0);
            // How it ended says nothing there: nobody ends it.
            let lost = if is_untasked { None } else { attempts.lost(key) };
            let within = attempts.chain(key).collect();
            runs.push(Run { key, lost, within, is_untasked, ..Run::default() });
            runs.len() as u32 - 1
        })
    }

    fn add(&mut self, entry: &Entry) -> Result<()> {
        if is_of_breaker(entry) {
            self.judged.insert((entry.task, entry.attempt));
        }
        let Some(id) = entry.call else { return Ok(()) };
        if entry.has(flag::KEPT) {
            return Ok(());
        }
        if entry.kind == Kind::Reserved {
            let number = self.run((entry.task, entry.attempt));
            if let Some(run) = self.runs.get_mut(number as usize) {
                let is_looping = run.within.iter().any(|key| self.judged.contains(key));
                self.waiting.insert(id, Waiting { is_looping, ..run.reserve(id, number, entry) });
            }
            return Ok(());
        }
        let is_end = matches!(entry.kind, Kind::Settled | Kind::Corrected);
        let Some(call) = self.waiting.get_mut(&id).filter(|_| is_end) else { return Ok(()) };
        call.settle(entry)?;
        if entry.has(flag::ESTIMATED) {
            return Ok(());
        }
        let call = *call;
        self.waiting.remove(&id);
        if let Some(run) = self.runs.get_mut(call.run as usize) {
            run.answer(id, &call);
        }
        self.count(id, &call)
    }

    /// Puts a call that is settled into its kinds.
    fn count(&mut self, id: Id, call: &Waiting) -> Result<()> {
        self.settled = sum(self.settled, call.usd)?;
        let price = self.prices.get(&call.price).copied();
        let load = &mut self.context;
        if call.tool_tokens > 0 || call.is_read {
            load.input_tokens = load.input_tokens.saturating_add(call.input);
            load.tool_tokens = load.tool_tokens.saturating_add(call.tool_tokens);
            let usd = price.map_or(0, |price| price.of_tools(call));
            load.tool_usd = Money::from_nanos(sum(load.tool_usd.nanos(), usd)?);
        }
        let Some(run) = self.runs.get(call.run as usize).filter(|_| call.usd > 0) else { return Ok(()) };
        let calls = u64::from(call.is_model);
        if let Some((owner, standing)) = run.lost {
            let kind = match standing {
                _ if call.is_looping => WasteKind::Loops,
                Standing::Stopped => WasteKind::Stopped,
                Standing::Lost => WasteKind::Lost,
                _ => WasteKind::Failed,
            };
            let (usd, count) = self.lost.entry((owner, kind)).or_default();
            (*usd, *count) = (sum(*usd, call.usd)?, *count + calls);
            return Ok(());
        }
        let item = |usd| Item { usd, key: run.key, call: Some(id), missed: 0, differs_at: None };
        if let Some(kind) = call.whole {
            return self.kinds[kind as usize].add(item(call.usd), false, calls);
        }
        let missed = call.missed();
        let cost = price.map_or(0, |price| price.of_missed(missed)).min(call.usd);
        if cost > 0 {
            let item = Item { missed, differs_at: call.is_read.then_some(call.differs_at), ..item(cost) };
            self.kinds[WasteKind::CacheMiss as usize].add(item, false, calls)?;
        }
        if run.is_untasked && call.usd > cost {
            self.kinds[WasteKind::Untasked as usize].add(item(call.usd - cost), false, calls)?;
        }
        Ok(())
    }

    /// Counts what can change no more since the entries end here, and adds up by attempt.
    fn finish(&mut self) -> Result<()> {
        let mut left: Vec<(Id, Waiting)> = self.waiting.drain().filter(|(_, call)| call.is_settled).collect();
        left.sort_unstable_by_key(|(id, _)| *id);
        for (id, call) in left {
            self.count(id, &call)?;
        }
        let mut lost: Vec<_> = self.lost.drain().collect();
        lost.sort_unstable_by_key(|((key, kind), _)| (*key, *kind as usize));
        for ((key, kind), (usd, calls)) in lost {
            let item = Item { usd, key, call: None, missed: 0, differs_at: None };
            self.kinds[kind as usize].add(item, self.attempts.was_redeemed(key), calls)?;
        }
        let (mut growth, mut steps) = (0_i128, 0_i128);
        for run in self.runs.iter().filter(|run| run.answers > 1) {
            growth += i128::from(run.last_input) - i128::from(run.first_input);
            steps += i128::from(run.answers) - 1;
        }
        self.context.growth_per_call = growth.checked_div(steps).unwrap_or(0) as i64;
        Ok(())
    }
}

impl Run {
    fn reserve(&mut self, id: Id, number: u32, entry: &Entry) -> Waiting {
        let Entry { model_asked: model, request_hash: hash, .. } = *entry;
        let is_read = entry.message_count > 0;
        // A cache is a model's own, and holds what was answered by now.
        let before = self.last.filter(|last| last.has_answer && last.model == model);
        // Where only the last message differs something else was asked; nothing broke.
        let broken = before.filter(|last| {
            is_read && entry.prefix_messages + 1 < last.messages && entry.at_ms - last.at <= KEPT_MS
        });
        let is_repeat = is_read && self.answered.contains(&(model, hash));
        let known = entry.known_tokens;
        let same = if known > 0 { known } else { entry.prefix_tokens };
        // Calls that an import had to date alike tell nothing of the time between them.
        let is_kept = |left: &Left| left.model == model && (1..=KEPT_MS).contains(&(entry.at_ms - left.at));
        let left = self.left.filter(is_kept);
        if is_read && entry.llm_calls > 0 {
            // The place in a request counts tools as a message, the number of messages does not.
            let messages = entry.message_count + u32::from(entry.tool_definition_tokens > 0);
            let at = entry.at_ms;
            self.last = Some(Last { id, model, has_answer: false, at, messages, input: 0 });
        }
        Waiting {
            run: number,
            model,
            at: entry.at_ms,
            price: entry.price,
            hash,
            is_read,
            is_model: entry.llm_calls > 0,
            is_settled: false,
            is_looping: false,
            whole: is_repeat.then_some(WasteKind::Repeated),
            usd: 0,
            shared: if is_read { before.map_or(0, |_| same) } else { left.map_or(0, |left| left.tokens) },
            broken: broken.map_or(0, |last| last.input),
            differs_at: (entry.prefix_messages, entry.prefix_bytes),
            tool_tokens: entry.tool_definition_tokens,
            input: 0,
            cache_read: 0,
            cache_write: 0,
        }
    }

    fn answer(&mut self, id: Id, call: &Waiting) {
        if call.is_read {
            self.answered.insert((call.model, call.hash));
        }
        if let Some(last) = self.last.as_mut().filter(|last| last.id == id) {
            (last.has_answer, last.input) = (true, call.input);
        }
        if call.is_model && !call.is_read {
            let tokens = call.cache_read.saturating_add(call.cache_write);
            self.left = Some(Left { model: call.model, at: call.at, tokens });
        }
        if call.is_model {
            self.first_input = if self.answers == 0 { call.input } else { self.first_input };
            self.last_input = call.input;
            self.answers += 1;
        }
    }
}

impl Waiting {
    fn settle(&mut self, entry: &Entry) -> Result<()> {
        self.usd = sum(self.usd, entry.usd)?;
        self.price = if entry.price == 0 { self.price } else { entry.price };
        if self.whole != Some(WasteKind::Repeated) {
            let is_broken = entry.has(flag::ESTIMATED) && entry.has(flag::STREAMED);
            self.whole = is_broken.then_some(WasteKind::Broken);
        }
        self.is_settled = true;
        (self.input, self.cache_read) = (entry.input_tokens, entry.cache_read_tokens);
        self.cache_write = entry.cache_write_tokens.saturating_add(entry.cache_write_1h_tokens);
        Ok(())
    }

    /// Tokens that were the same as before, or were at most if the prefix broke, might have been read
    /// from the cache, and were not.
    fn missed(&self) -> u64 {
        // A shorter one that nobody read is of another conversation, or of one made shorter.
        if !self.is_read && self.input < self.shared {
            return 0;
        }
        let same = self.shared.max(self.broken).min(self.input);
        if same < CACHED_MIN { 0 } else { (same - same % CACHE_BLOCK).saturating_sub(self.cache_read) }
    }
}
