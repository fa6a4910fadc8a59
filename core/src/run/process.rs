//! Which ledgers does this process have open, and what becomes of them at a fork?
//!
//! One owner per ledger and process: opening the same store twice gives the same ledger. A fork
//! must be announced ([`before_fork`] and its two ends; the Python package does it by itself):
//! files are closed meanwhile, and the child opens them again as an owner of its own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{alert::Handler, config::Config, ledger::Ledger};
use crate::{
    error::{Error, Result},
    ledger::Alert,
    meter::tokens::{Quiet, quiet},
    sync::Arc,
};

/// The most ledgers one process can have open.
const LEDGERS_MAX: usize = 1_000;

static LEDGERS: Mutex<Open> =
    Mutex::new(Open { ledgers: BTreeMap::new(), config: None, handlers: Vec::new() });
static GENERATION: AtomicU32 = AtomicU32::new(0);

struct Open {
    ledgers: BTreeMap<String, Ledger>,
    config: Option<Arc<Config>>,
    handlers: Vec<Handler>,
}

thread_local! {
    static DURING_FORK: RefCell<Option<(MutexGuard<'static, Open>, Quiet)>> = const { RefCell::new(None) };
}

fn open_ledgers() -> MutexGuard<'static, Open> {
    LEDGERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the forks this process descends from; a ledger of another count is its parent's.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// The options of this process.
///
/// # Errors
///
/// `InvalidInput`: the user's configuration file cannot be read.
pub fn config() -> Result<Arc<Config>> {
    let mut open = open_ledgers();
    if let Some(config) = &open.config {
        return Ok(Arc::clone(config));
    }
    let config = Arc::new(Config::load()?);
    open.config = Some(Arc::clone(&config));
    Ok(config)
}

/// Changes the options of this process, for ledgers already open too (but not their durability).
pub fn configure(config: Config) {
    let config = Arc::new(config);
    let mut open = open_ledgers();
    open.config = Some(Arc::clone(&config));
    for ledger in open.ledgers.values() {
        ledger.set_config(Arc::clone(&config));
    }
}

/// The ledger at `store`, opened if it is not open yet; without a name the configured one,
/// `$OUTLAY_STORE`, or a file in the user's data folder.
///
/// # Errors
///
/// * `InvalidInput`: a store that cannot be.
/// * `StoreUnavailable`, `Corrupt`, `Unsupported`: the file cannot be used.
pub fn ledger(store: Option<&str>) -> Result<Ledger> {
    let config = config()?;
    let name = store_name(store)?;
    let mut open = open_ledgers();
    if let Some(ledger) = open.ledgers.get(&name) {
        return Ok(ledger.clone());
    }
    if open.ledgers.len() >= LEDGERS_MAX {
        return Err(Error::store(format!("this process has {LEDGERS_MAX} ledgers open")));
    }
    let ledger = Ledger::open(&name, config)?;
    for handler in &open.handlers {
        ledger.add_handler(handler.clone())?;
    }
    open.ledgers.insert(name, ledger.clone());
    drop(open);
    ledger.deliver_left();
    Ok(ledger)
}

/// Hands alerts to `handler`, as [`Ledger::on_alert`] does, in every ledger that [`ledger()`] opened
/// or will open; again under the same name it takes the place of the one before.
///
/// # Errors
///
/// `InvalidInput`: a name that cannot be, or more than sixteen.
///
/// ```
/// use outlay::run::process;
///
/// process::on_alert("log", |alert| eprintln!("{alert}"))?;
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn on_alert(consumer: &str, handler: impl Fn(&Alert) + Send + Sync + 'static) -> Result<()> {
    let handler = Handler::new(consumer, handler)?;
    let mut open = open_ledgers();
    let ledgers: Vec<Ledger> = open.ledgers.values().cloned().collect();
    handler.put_into(&mut open.handlers)?;
    drop(open);
    for ledger in ledgers {
        ledger.add_handler(handler.clone())?;
        ledger.deliver_of_dead();
    }
    Ok(())
}

/// The one name of the store that [`ledger`] would open, which need not exist.
///
/// # Errors
///
/// `InvalidInput`, `Unsupported`: a store that cannot be.
///
/// ```
/// use outlay::run::process::store_name;
///
/// assert_eq!(store_name(Some("memory:tests"))?, "memory:tests");
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn store_name(store: Option<&str>) -> Result<String> {
    match store {
        Some(url) => Ledger::canonical(url),
        None => Ledger::canonical(&default_store(&*config()?)?),
    }
}

fn default_store(config: &Config) -> Result<String> {
    if let Some(store) = &config.store {
        return Ok(store.clone());
    }
    if let Ok(store) = std::env::var("OUTLAY_STORE")
        && !store.is_empty()
    {
        return Ok(store);
    }
    let folder = dirs::data_dir().ok_or_else(|| {
        Error::invalid("there is no data folder for this user; name a store or set `OUTLAY_STORE`")
    })?;
    Ok(format!("sqlite:{}", folder.join("outlay").join("ledger.db").display()))
}

/// Ends this process as an owner of its ledgers; what it left open is in doubt.
pub fn close_all() {
    let ledgers = std::mem::take(&mut open_ledgers().ledgers);
    for ledger in ledgers.values() {
        // At the end of a process nobody is left to be told; the next owner sweeps what remains.
        let _ = ledger.close();
    }
}

/// To be called before `fork`, by the thread that forks.
pub fn before_fork() {
    let open = open_ledgers();
    for ledger in open.ledgers.values() {
        ledger.before_fork();
    }
    // Last: the tokenizer must rest too, and this thread must not count until the fork is over.
    let quiet = quiet();
    DURING_FORK.with_borrow_mut(|held| *held = Some((open, quiet)));
}

/// To be called after `fork` in the parent, by the thread that forked.
pub fn after_fork_in_parent() {
    let Some((open, _quiet)) = DURING_FORK.with_borrow_mut(Option::take) else { return };
    for ledger in open.ledgers.values() {
        ledger.after_fork_in_parent();
    }
}

/// To be called after `fork` in the child.
pub fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let Some((mut open, _quiet)) = DURING_FORK.with_borrow_mut(Option::take) else { return };
    for (_, ledger) in std::mem::take(&mut open.ledgers) {
        ledger.abandon();
    }
}
