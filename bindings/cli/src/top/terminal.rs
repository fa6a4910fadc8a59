//! How is it drawn, and what do keys do? The one place that knows a terminal.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    queue,
    style::{Attribute, Print, SetAttribute},
    terminal::{
        Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode, size,
    },
};
use outlay::{Error, ErrorKind, Result, policy::Scope};

use super::{View, worth};
use crate::{arguments::Top, orders::by, place::Opened};

/// How often the ledger is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often what kinds of tasks are worth is looked up, which reads a day of the ledger.
const WORTH_EVERY: Duration = Duration::from_mins(1);

/// A terminal that is ours until this is dropped, however that comes about.
struct Screen;

impl Screen {
    fn new() -> io::Result<Self> {
        enable_raw_mode()?;
        let screen = Self;
        queue!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell if the terminal is gone.
        let _ = queue!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
        let _ = io::stdout().flush();
        let _ = disable_raw_mode();
    }
}

fn draw(view: &View) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (columns, rows) = size().unwrap_or((80, 24));
    let (lines, selected) = view.screen(columns.into(), rows.into());
    for (at, line) in lines.iter().enumerate() {
        let look = if selected == Some(at) { Attribute::Reverse } else { Attribute::Reset };
        let row = u16::try_from(at).unwrap_or(u16::MAX);
        queue!(out, MoveTo(0, row), SetAttribute(look), Print(line), SetAttribute(Attribute::Reset))?;
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    out.flush()
}

/// An order that waits for a `y`.
#[derive(Clone, Copy)]
enum Order {
    Halt,
    Unhalt,
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Unhalt => "unhalt",
        }
    }
}

/// Shows what runs until somebody leaves.
pub(super) fn watch(ledger: &Opened, asked: &Top) -> Result<()> {
    let mut view = View::new(ledger)?;
    view.sort();
    let _screen = Screen::new().map_err(lost)?;
    let mut waiting = None;
    let (mut read_at, mut worth_at) = (Instant::now(), Instant::now());
    loop {
        draw(&view).map_err(lost)?;
        if event::poll(EVERY.saturating_sub(read_at.elapsed())).map_err(lost)? {
            let Event::Key(key) = event::read().map_err(lost)? else { continue };
            if key.kind != KeyEventKind::Release && !pressed(&mut view, ledger, asked, &mut waiting, key) {
                return Ok(());
            }
        }
        if read_at.elapsed() >= EVERY {
            match ledger.live() {
                Ok(live) => view.take(live),
                Err(error) => view.message = error.to_string(),
            }
            if worth_at.elapsed() >= WORTH_EVERY {
                view.worth = worth(ledger).unwrap_or_default();
                worth_at = Instant::now();
            }
            read_at = Instant::now();
        }
    }
}

/// Does what a key says; false when it says to leave.
fn pressed(
    view: &mut View,
    ledger: &Opened,
    asked: &Top,
    waiting: &mut Option<(Order, Scope, String)>,
    key: KeyEvent,
) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return false;
    }
    if let Some((order, scope, label)) = waiting.take() {
        view.message = if key.code == KeyCode::Char('y') {
            obey(ledger, asked, order, &scope, &label)
        } else {
            "nothing was done".to_owned()
        };
        return true;
    }
    let last = view.live.tasks.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Up | KeyCode::Char('k') => view.selected = view.selected.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => view.selected = (view.selected + 1).min(last),
        KeyCode::Char('s') => {
            view.order = view.order.next();
            view.take(view.live.clone());
        }
        KeyCode::Char('h') => ask(view, waiting, Order::Halt),
        KeyCode::Char('u') => ask(view, waiting, Order::Unhalt),
        _ => {}
    }
    true
}

fn ask(view: &mut View, waiting: &mut Option<(Order, Scope, String)>, order: Order) {
    let Some(task) = view.selected() else { return };
    let label = super::cut(&task.label, 40);
    // What lies under a wider halt is freed by undoing that one.
    let wider = task.halt.as_ref().filter(|_| matches!(order, Order::Unhalt)).map(|halt| halt.scope.clone());
    let text = wider.unwrap_or_else(|| task.state.id.to_string());
    let over = if text == task.state.id.to_string() { label.clone() } else { super::cut(&text, 40) };
    match Scope::parse(&text) {
        Ok(scope) => {
            view.message = format!("{} {over}? y/n", order.name());
            *waiting = Some((order, scope, over));
        }
        Err(error) => view.message = error.to_string(),
    }
}

/// Gives what to tell.
fn obey(ledger: &Opened, asked: &Top, order: Order, scope: &Scope, label: &str) -> String {
    let by = by(asked.by.as_deref());
    let done = match order {
        Order::Halt => ledger.halt(scope, &by, &asked.reason).map(drop),
        Order::Unhalt => ledger.unhalt(scope, &by),
    };
    match done {
        Ok(()) => format!("{label} is {}ed", order.name()),
        Err(error) => error.to_string(),
    }
}

fn lost(error: io::Error) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the terminal cannot be used: {error}"))
}
