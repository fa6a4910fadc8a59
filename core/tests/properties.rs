//! Do balances and windows agree with a naive model, whatever happens in whatever order?

#[path = "fixture/mod.rs"]
mod fixture;

use fixture::{DAY, HOUR, MINUTE, Place, request, window};
use outlay::{BudgetOptions, Call, Clock, ErrorKind, Limit, Millis, Task, TaskOptions, Usage};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    /// A task, perhaps under an earlier one.
    Open {
        under: Option<prop::sample::Index>,
        limit_cents: i64,
    },
    Reserve {
        task: prop::sample::Index,
        cents: i64,
    },
    /// More than was held is possible.
    Settle {
        call: prop::sample::Index,
        cents: i64,
    },
    Void {
        call: prop::sample::Index,
    },
    Doubt {
        call: prop::sample::Index,
    },
    Correct {
        call: prop::sample::Index,
        cents: i64,
    },
    Wait {
        millis: Millis,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        1 => (prop::option::of(index()), 10_i64..100)
            .prop_map(|(under, limit_cents)| Act::Open { under, limit_cents }),
        6 => (index(), 1_i64..20).prop_map(|(task, cents)| Act::Reserve { task, cents }),
        4 => (index(), 0_i64..25).prop_map(|(call, cents)| Act::Settle { call, cents }),
        1 => index().prop_map(|call| Act::Void { call }),
        1 => index().prop_map(|call| Act::Doubt { call }),
        1 => (index(), 0_i64..25).prop_map(|(call, cents)| Act::Correct { call, cents }),
        2 => (1..3 * HOUR).prop_map(|millis| Act::Wait { millis }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Doubted,
    Settled,
    Voided,
}

struct Made {
    call: Call,
    task: usize,
    at: Millis,
    held: i64,
    used: i64,
    state: State,
}

impl Made {
    /// What it counts for, in cents.
    fn spent(&self) -> i64 {
        match self.state {
            State::Open | State::Doubted => self.held,
            State::Settled => self.used,
            State::Voided => 0,
        }
    }
}

struct Opened {
    task: Task,
    above: Option<usize>,
    limit: i64,
}

const DAILY: i64 = 120;
const HOURLY: i64 = 60;

#[derive(Default)]
struct Model {
    tasks: Vec<Opened>,
    calls: Vec<Made>,
}

impl Model {
    fn is_within(&self, task: usize, above: usize) -> bool {
        task == above || self.tasks[task].above.is_some_and(|next| self.is_within(next, above))
    }

    fn sum(&self, counts: impl Fn(&Made) -> bool) -> i64 {
        self.calls.iter().filter(|made| counts(made)).map(Made::spent).sum()
    }

    fn under(&self, above: usize) -> i64 {
        self.sum(|made| self.is_within(made.task, above))
    }

    /// The sixtieth of the hour in which the oldest money lies counts whole.
    fn fits(&self, task: usize, cents: i64, now: Millis) -> bool {
        let by_task = (0..self.tasks.len())
            .filter(|above| self.is_within(task, *above))
            .all(|above| self.under(above) + cents <= self.tasks[above].limit);
        let today = self.sum(|made| made.at.div_euclid(DAY) == now.div_euclid(DAY));
        let oldest = (now - HOUR).div_euclid(MINUTE);
        let hour = self.sum(|made| made.at.div_euclid(MINUTE) >= oldest);
        by_task && today + cents <= DAILY && hour + cents <= HOURLY
    }

    fn apply(&mut self, place: &Place, act: &Act) {
        match act {
            Act::Wait { millis } => place.clock.advance(*millis),
            Act::Open { under, limit_cents } => self.open(place, under.as_ref(), *limit_cents),
            Act::Reserve { task, cents } => self.reserve(place, *task, *cents),
            Act::Settle { call, .. }
            | Act::Void { call }
            | Act::Doubt { call }
            | Act::Correct { call, .. } => {
                if !self.calls.is_empty() {
                    let no = call.index(self.calls.len());
                    self.end(place, no, act);
                }
            }
        }
    }

    fn open(&mut self, place: &Place, under: Option<&prop::sample::Index>, limit: i64) {
        let above = under.filter(|_| !self.tasks.is_empty()).map(|index| index.index(self.tasks.len()));
        let limited = Limit::usd(&format!("{}.{:02}", limit / 100, limit % 100)).unwrap();
        let options = TaskOptions::new("t").limit(limited);
        let options = match above {
            Some(above) => options.under(&self.tasks[above].task),
            None => options.tag("tenant", "acme").unwrap(),
        };
        match place.ledger.open_task(options) {
            Ok(task) => self.tasks.push(Opened { task, above, limit }),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "only too deep a task: {error}"),
        }
    }

    fn reserve(&mut self, place: &Place, task: prop::sample::Index, cents: i64) {
        if self.tasks.is_empty() {
            return;
        }
        let (task, now) = (task.index(self.tasks.len()), Clock::Manual(place.clock.clone()).now());
        let fits = self.fits(task, cents, now);
        match self.tasks[task].task.reserve(&request(cents as u64 * 1_000)) {
            Ok(call) => {
                assert!(fits, "{cents} cents were held beyond a limit");
                self.calls.push(Made { call, task, at: now, held: cents, used: 0, state: State::Open });
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}");
                assert!(!fits, "{cents} cents fit and were refused");
            }
        }
    }

    fn end(&mut self, place: &Place, no: usize, act: &Act) {
        let made = &mut self.calls[no];
        let usage = |cents: i64| Usage::tokens(0, cents as u64 * 1_000);
        match (act, made.state) {
            (Act::Settle { cents, .. }, State::Open) => {
                made.call.settle(&usage(*cents)).unwrap();
                (made.used, made.state) = (*cents, State::Settled);
            }
            (Act::Void { .. }, State::Open) => {
                made.call.void().unwrap();
                made.state = State::Voided;
            }
            (Act::Doubt { .. }, State::Open) => {
                made.call.doubt().unwrap();
                made.state = State::Doubted;
            }
            (Act::Correct { cents, .. }, State::Doubted) => {
                place.ledger.resolve(made.call.id(), Some(&usage(*cents).into()), "ann").unwrap();
                (made.used, made.state) = (*cents, State::Settled);
            }
            _ => {}
        }
    }

    fn agrees(&self, place: &Place) {
        for (no, opened) in self.tasks.iter().enumerate() {
            let of = |state| self.sum(|made| made.state == state && self.is_within(made.task, no));
            let expected = (of(State::Settled), of(State::Open), of(State::Doubted));
            assert_eq!(fixture::cents(&opened.task), expected);
        }
        place.check();
    }
}

fn agree(place: &Place, acts: &[Act]) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap();
    let budget = budget.limit(Limit::usd("1.20").unwrap().per(window("day")));
    place.ledger.set_budget(&budget.limit(Limit::usd("0.60").unwrap().per(window("rolling:1h")))).unwrap();
    let mut model = Model::default();
    for act in acts {
        model.apply(place, act);
    }
    model.agrees(place);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn memory_agrees_with_the_model(acts in prop::collection::vec(act(), 1..80)) {
        agree(&Place::memory(), &acts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_file_agrees_with_the_model(acts in prop::collection::vec(act(), 1..60)) {
        agree(&Place::sqlite(), &acts);
    }
}
