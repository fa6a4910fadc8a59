//! What was spent is exact, and what is to come is what the history says.

mod fixture;

use fixture::{DAY, Place};
use outlay::{
    ErrorKind, Ledger, Limit, Money, Request, TaskOptions, Usage, Window,
    report::{By, Forecast},
    run::BudgetOptions,
};
use proptest::{collection::vec, prelude::*};

/// 2026-09-07, a Monday.
const MONDAY: i64 = 1_788_739_200_000;
const NANOS: i64 = 1_000_000_000;

fn places() -> [Place; 2] {
    Place::each(MONDAY, "{}")
}

/// A call of gpt-4o, whose input is 2.50 USD per million tokens.
fn spend(ledger: &Ledger, tenant: &str, usd_cents: u64) {
    let task = ledger.open_task(TaskOptions::new("refund").tag("tenant", tenant).unwrap()).unwrap();
    let input = usd_cents * 4_000;
    let request = Request::model("gpt-4o").input_tokens(input).max_output_tokens(1);
    task.reserve(&request).unwrap().settle(&Usage::tokens(input, 0)).unwrap();
}

/// So many working weeks of 5 USD a day for one tenant and 1 USD for another.
fn weeks(place: &Place, count: i64) {
    for day in 0..7 * count {
        if day % 7 < 5 {
            spend(&place.ledger, "acme", 500);
            spend(&place.ledger, "umbrella", 100);
        }
        place.clock.advance(DAY);
    }
}

fn near(value: f64, wanted: f64, by: f64) -> bool {
    (value - wanted).abs() <= by
}

#[test]
fn a_month_of_working_days_is_foreseen_and_rows_add_up() {
    for place in places() {
        weeks(&place, 8); // until Monday, 2 November
        let forecast = place.ledger.forecast(Some(By::Tag("tenant".into()))).unwrap();
        assert_eq!(forecast.total.spent, Money::ZERO);
        assert!(forecast.total.follows_weekdays, "{forecast}");
        let month = forecast.total.month_end.unwrap();
        // 21 working days of 6 USD are left of November.
        assert!(near(month.expected, 126.0, 6.0) && month.low <= 126.0 && month.high >= 126.0, "{forecast}");
        place.clock.advance(DAY / 2);
        spend(&place.ledger, "acme", 300);
        let forecast = place.ledger.forecast(Some(By::Tag("tenant".into()))).unwrap();
        let keys: Vec<_> = forecast.rows.iter().map(|row| (row.key.as_deref(), row.spent.nanos())).collect();
        assert_eq!(keys, [(Some("acme"), 3 * NANOS), (Some("umbrella"), 0)]);
        assert_eq!(forecast.total.spent.nanos(), 3 * NANOS);
        // Half a day is gone, and what it cost is known.
        assert!(near(forecast.total.month_end.unwrap().expected, 3.0 + 20.5 * 6.0, 6.0), "{forecast}");
        assert!(forecast.to_string().contains("so days of the week are used"), "{forecast}");
    }
}

#[test]
fn too_short_a_history_and_a_flat_one_say_so() {
    for Place { ledger, clock, .. } in places() {
        assert_eq!(ledger.forecast(None).unwrap().total.month_end, None);
        let said = |forecast: &Forecast, what: &str| forecast.notes().iter().any(|note| note.contains(what));
        for day in 0..36 {
            spend(&ledger, "acme", 200);
            clock.advance(DAY);
            let forecast = ledger.forecast(None).unwrap();
            assert_eq!(forecast.total.month_end.is_some(), day >= 6, "{day}");
            assert_eq!(said(&forecast, "less than a week"), day < 6, "{day}");
            assert_eq!(said(&forecast, "less than four weeks"), (6..27).contains(&day), "{day}");
        }
        let forecast = ledger.forecast(None).unwrap();
        assert!(said(&forecast, "no better, so the mean is used"), "{forecast}");
        assert_eq!(ledger.forecast(Some(By::Attempt)).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_budget_is_used_up_when_its_days_come_to_its_limit() {
    for place in places() {
        let month = Window::parse("month", None).unwrap();
        let rolling = Window::parse("rolling:24h", None).unwrap();
        for (tenant, limit) in [
            ("acme", Limit::usd("50").unwrap().soft().per(month.clone())),
            ("umbrella", Limit::usd("50").unwrap().soft().per(month)),
            ("nobody", Limit::usd("50").unwrap().per(rolling)),
        ] {
            let budget = BudgetOptions::new().tag("tenant", tenant).unwrap().limit(limit);
            place.ledger.set_budget(&budget).unwrap();
        }
        place.ledger.set_budget(&BudgetOptions::new().limit(Limit::usd("300").unwrap())).unwrap();
        weeks(&place, 8);
        let now = MONDAY + 56 * DAY;
        let forecast = place.ledger.forecast(None).unwrap();
        let names: Vec<_> = forecast.budgets.iter().map(|budget| budget.name.as_str()).collect();
        assert_eq!(names, ["", "tenant=acme", "tenant=nobody", "tenant=umbrella"]);
        let [all, acme, nobody, umbrella] = forecast.budgets.try_into().unwrap();
        // 240 of 300 are spent over its life, 6 a working day: two weeks are left.
        let used = all.used_up.unwrap();
        assert_eq!((all.spent.nanos(), all.resets_at, all.at_reset), (240 * NANOS, None, None));
        assert!((now + 10 * DAY..=now + 15 * DAY).contains(&used.expected.unwrap()), "{used:?}");
        assert!(used.earliest <= used.expected && used.expected <= used.latest);
        // Ten working days of 5 are the limit: on Friday of the second week.
        let used = acme.used_up.unwrap();
        assert!((now + 10 * DAY..=now + 13 * DAY).contains(&used.expected.unwrap()), "{used:?}");
        assert!(near(acme.at_reset.unwrap().expected, 105.0, 5.0));
        assert_eq!(umbrella.used_up.unwrap().expected, None);
        assert_eq!((nobody.used_up, nobody.at_reset), (None, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_was_spent_this_month_adds_up_whatever_the_rows(
        calls in vec((0..3_usize, 1..1_000_u64, 0..5 * DAY), 1..30),
    ) {
        for Place { ledger, clock, .. } in places() {
            let (mut spent, mut now) = (Vec::new(), MONDAY);
            for (tenant, cents, wait) in &calls {
                clock.advance(*wait);
                now += *wait;
                spend(&ledger, ["acme", "umbrella", "initech"][*tenant], *cents);
                spent.push((now, *cents as i64 * NANOS / 100));
            }
            let began = Window::parse("month", None).unwrap().slot(now).start;
            let wanted: i64 = spent.iter().filter(|(at, _)| *at >= began).map(|(_, nanos)| nanos).sum();
            for by in [By::Task, By::Model, By::Agent, By::Tag("tenant".into())] {
                let forecast = ledger.forecast(Some(by)).unwrap();
                prop_assert_eq!(forecast.total.spent.nanos(), wanted);
                prop_assert_eq!(forecast.rows.iter().map(|row| row.spent.nanos()).sum::<i64>(), wanted);
            }
        }
    }
}
