//! Does the last call of every attempt always fit into what was put by for it, whatever else happens?

#[path = "fixture/mod.rs"]
mod fixture;

use fixture::{Place, request, spend, usd};
use outlay::{Attempt, BudgetOptions, Call, ErrorKind, Limit, Task, TaskOptions};
use proptest::prelude::*;

const CAP: i64 = 60;
const PUT_BY: i64 = 5;

#[derive(Clone, Debug)]
enum Act {
    Open,
    Spend {
        task: prop::sample::Index,
        cents: i64,
    },
    Last {
        task: prop::sample::Index,
        cents: i64,
    },
    /// The last call was not billed.
    Void {
        task: prop::sample::Index,
    },
    End {
        task: prop::sample::Index,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let task = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Act::Open),
        6 => (task(), 1_i64..15).prop_map(|(task, cents)| Act::Spend { task, cents }),
        3 => (task(), 1..=PUT_BY).prop_map(|(task, cents)| Act::Last { task, cents }),
        1 => task().prop_map(|task| Act::Void { task }),
        1 => task().prop_map(|task| Act::End { task }),
    ]
}

/// An attempt as the model sees it, in cents.
struct Run {
    task: Task,
    settled: i64,
    keeps: bool,
    ended: bool,
    /// The last call, what it holds, and whether that is in doubt.
    last: Option<(Call, i64, bool)>,
}

impl Run {
    fn used(&self) -> i64 {
        let kept = if self.keeps { PUT_BY } else { 0 };
        self.settled + kept + self.last.as_ref().map_or(0, |(_, held, _)| *held)
    }

    fn spend(&mut self, free: i64, cents: i64) {
        let fits = !self.ended && self.keeps && cents <= free;
        match spend(&self.task, cents as u64) {
            Ok(_) => self.settled += cents,
            Err(error) => {
                let kind = if self.ended { ErrorKind::Conflict } else { ErrorKind::BudgetExceeded };
                assert_eq!(error.kind(), kind, "{error}");
                assert!(!fits, "{cents} cents fit and were refused");
                return;
            }
        }
        assert!(fits, "{cents} cents were spent beyond a limit");
    }

    fn make_last(&mut self, free: i64, cents: i64) {
        let again = self.last.as_ref().is_some_and(|(_, held, _)| *held == 0);
        let granted = if self.keeps { cents } else { cents.min(free) };
        let may = !self.ended && (self.keeps || (again && granted > 0));
        match self.task.reserve(&request(cents as u64 * 1_000).last()) {
            Ok(call) => {
                assert!(may, "a second last call was made");
                assert_eq!(call.reserved(), usd(&format!("0.{granted:02}")));
                (self.keeps, self.last) = (false, Some((call, granted, false)));
            }
            Err(error) => assert!(!may, "the last call was refused: {error}"),
        }
    }

    fn void(&mut self) {
        if let Some((call, held, false)) = &mut self.last {
            call.void().unwrap();
            *held = 0;
        }
    }

    fn end(&mut self) {
        self.task.end(Attempt::Failed, None).unwrap();
        (self.keeps, self.ended) = (false, true);
        if let Some((_, held, in_doubt)) = &mut self.last {
            *in_doubt = *held > 0;
        }
    }
}

fn apply(place: &Place, runs: &mut Vec<Run>, act: &Act) {
    let free = CAP - runs.iter().map(Run::used).sum::<i64>();
    let count = runs.len();
    let (Act::Spend { task, .. } | Act::Last { task, .. } | Act::Void { task } | Act::End { task }) = act
    else {
        let options = TaskOptions::new("t").tag("tenant", "acme").unwrap();
        match place.ledger.open_task(options.wrap_up(usd("0.05"))) {
            Ok(task) => {
                assert!(free >= PUT_BY);
                runs.push(Run { task, settled: 0, keeps: true, ended: false, last: None });
            }
            Err(error) => assert!(free < PUT_BY, "{error}"),
        }
        return;
    };
    if count == 0 {
        return;
    }
    let run = &mut runs[task.index(count)];
    match act {
        Act::Spend { cents, .. } => run.spend(free, *cents),
        Act::Last { cents, .. } => run.make_last(free, *cents),
        Act::Void { .. } => run.void(),
        Act::End { .. } | Act::Open => run.end(),
    }
}

fn holds(place: &Place, acts: &[Act]) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd("0.60").unwrap());
    place.ledger.set_budget(&budget).unwrap();
    let mut runs = Vec::new();
    for act in acts {
        apply(place, &mut runs, act);
    }
    for run in &mut runs {
        let (settled, pending, in_doubt) = fixture::cents(&run.task);
        assert_eq!((settled, settled + pending + in_doubt), (run.settled, run.used()));
        if run.keeps {
            run.make_last(0, PUT_BY);
        }
    }
    place.check();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn in_memory_it_is_always_there(acts in prop::collection::vec(act(), 1..60)) {
        holds(&Place::memory(), &acts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn in_a_file_it_is_always_there(acts in prop::collection::vec(act(), 1..60)) {
        holds(&Place::sqlite(), &acts);
    }
}
