//! Each command against a real ledger in a file.

mod fixture;

use std::{io, sync::Arc};

use outlay::{
    Attempt, BudgetOptions, Clock, Config, Ledger, Limit, ManualClock, Request, TaskOptions, Unit, Usage,
    Window, meter::Api, policy::Deadline, run::OnLimit, run::Terms,
};
use serde_json::Value;
use tempfile::TempDir;

/// 2100-01-01T12:00:00Z: later than any machine's clock, so that the ledger's time stands still.
const NOON: i64 = 4_102_488_000_000;
const DAY: i64 = 86_400_000;

/// A ledger with two tenants, a failed attempt and a call in doubt.
struct Sample {
    _folder: TempDir,
    store: String,
    ledger: Ledger,
    clock: ManualClock,
}

/// What a command printed, and its exit code.
struct Printed {
    code: i32,
    out: String,
    errors: String,
}

fn sample() -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let clock = ManualClock::at(NOON);
    let config = Arc::new(Config::default());
    let ledger = Ledger::open_with_clock(&store, config, Clock::Manual(clock.clone())).unwrap();
    let day = Limit::usd("50").unwrap().per(Window::parse("day", None).unwrap());
    ledger.set_budget(&BudgetOptions::new().tag("tenant", "acme").unwrap().limit(day)).unwrap();

    let options = || {
        let refund = TaskOptions::new("refund").id("refund-4711").tag("tenant", "acme").unwrap();
        refund.limit(Limit::usd("0.5").unwrap()).limit(Limit::new(Unit::ToolCalls, 50).unwrap())
    };
    let gpt = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
    let first = ledger.open_task(options()).unwrap();
    first.reserve(&gpt).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap(); // 0.0075 USD
    first.end(Attempt::Failed, Some("no JSON")).unwrap();
    let second = ledger.open_task(options()).unwrap();
    second.reserve(&gpt).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap(); // 0.0025 USD
    second.tool_call("search").unwrap();
    second.end(Attempt::Succeeded, None).unwrap();
    let payout =
        ledger.open_task(TaskOptions::new("payout").tag("tenant", "=cmd|'calc'!A1").unwrap()).unwrap();
    let mini = Request::model("gpt-4o-mini").input_tokens(1_000).max_output_tokens(1_000);
    payout.reserve(&mini).unwrap().doubt().unwrap(); // 0.00075 USD
    payout.end(Attempt::Succeeded, None).unwrap();
    Sample { _folder: folder, store, ledger, clock }
}

fn outlay(words: &[&str]) -> Printed {
    let (code, out, errors) = fixture::outlay(words);
    Printed { code, out, errors }
}

impl Sample {
    fn outlay(&self, words: &[&str]) -> Printed {
        outlay(&[&["--store", &self.store], words].concat())
    }

    fn printed(&self, words: &[&str]) -> String {
        let printed = self.outlay(words);
        assert_eq!((printed.code, printed.errors.as_str()), (0, ""), "{words:?}");
        printed.out
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[words, &["--json"]].concat())).unwrap()
    }

    fn doubted(&self) -> String {
        self.ledger.in_doubt(1).unwrap()[0].id.to_string()
    }

    /// One line on the standard error, and nothing else.
    fn refused(&self, words: &[&str], code: i32, message: &str) {
        let printed = self.outlay(words);
        assert_eq!((printed.code, printed.out.as_str()), (code, ""), "{words:?}: {}", printed.errors);
        assert!(printed.errors.contains(message), "{words:?}: {}", printed.errors);
        assert!(printed.errors.starts_with("outlay: ") && printed.errors.lines().count() == 1);
        assert!(printed.errors.ends_with(")\n"));
    }
}

/// The lines of a table without what lines them up.
fn cells(table: &str) -> Vec<String> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn tasks_are_listed_with_the_newest_first() {
    let sample = sample();
    let id = sample.ledger.find_task("payout").unwrap().id;
    let expected = [
        "task id state opened attempts spent pending in doubt limit".to_owned(),
        format!("payout {id} succeeded 2100-01-01T12:00:00Z 1 0.00075 0.00 0.00075 -"),
        "refund refund-4711 succeeded 2100-01-01T12:00:00Z 2 0.01 0.00 0.00 0.50".to_owned(),
    ];
    assert_eq!(cells(&sample.printed(&["tasks"])), expected);
    assert!(sample.printed(&["tasks", "--most", "1"]).ends_with("see `--most`\n"));
    let tasks = sample.json(&["tasks"]);
    assert_eq!(tasks[0]["id"], id.to_string());
    assert_eq!(tasks[0]["tags"]["tenant"], "=cmd|'calc'!A1");
    assert_eq!(tasks[1]["caller_id"], "refund-4711");
    assert_eq!((&tasks[1]["spent_usd"], &tasks[1]["attempts"]), (&"0.01".into(), &2.into()));
    assert_eq!(tasks[1]["limits"][0]["available"], "0.49");
    assert_eq!(tasks[1]["limits"][1]["available"], 49);
}

#[test]
fn a_task_is_shown_with_what_bought_nothing() {
    let sample = sample();
    let text = sample.printed(&["show", "refund"]);
    let expected = "\
task refund (refund-4711): succeeded
0.01 USD spent, 0.00 USD pending, 0.00 USD in doubt, 0.49 USD available

attempt   state       reason    calls   tool calls    spent
1         failed      no JSON       1            0   0.0075
2         succeeded                 1            1   0.0025

model    calls   input   cached   output   reasoning   spent
gpt-4o       2   2,000        0      500           0    0.01

bought nothing    calls    spent
failed attempts       1   0.0075

limit        kind   window   resets   amount   spent   pending   available
usd          hard   life     -          0.50    0.01      0.00        0.49
tool calls   hard   life     -            50       1         0          49

tags: tenant=acme
";
    assert_eq!(text, expected);
    let task = sample.json(&["show", "refund-4711"]);
    assert_eq!(task["attempts"][0]["state"], "failed");
    assert_eq!(task["bought_nothing"][0]["spent_usd"], "0.0075");
    assert_eq!(task["available_usd"], "0.49");
    assert_eq!(task["by_model"][0]["output_tokens"], 500);
}

#[test]
fn a_task_is_found_by_the_beginning_of_its_id_only_if_no_other_begins_so() {
    let sample = sample();
    let id = sample.ledger.find_task("refund").unwrap().id.to_string();
    assert_eq!(sample.json(&["show", &id])["caller_id"], "refund-4711");
    // The first digits are the time of opening, the same for both.
    sample.refused(&["show", &id[..8]], 1, "means several tasks: `");
    sample.refused(&["show", &id[..5]], 1, "(not_found)");
    sample.refused(&["show", "nothing"], 1, "task `nothing` is not in the ledger (not_found)");
}

#[test]
fn bounds_are_compared_with_what_providers_counted() {
    let sample = sample();
    assert_eq!(sample.printed(&["meter"]), "no call was counted here and settled\n");
    let task = sample.ledger.task("chat", []).unwrap();
    let body = br#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}"#;
    let answer = r#"{"model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 1}}"#;
    let exchange = task.exchange(Api::OpenAiChat, body, &Terms::default()).unwrap();
    exchange.answered(200, answer).unwrap();
    let expected = [
        "provider model tools method calls overruns truth/count p95 p99.5 bound/truth p95 largest",
        "openai gpt-4o no exact 1 0 1.000 1.000 1.000 1.000 1.000 1.000",
    ];
    assert_eq!(cells(&sample.printed(&["meter"])), expected);
    let row = &sample.json(&["meter", "--since", "7d"])["rows"][0];
    assert_eq!((&row["model"], &row["bound_over_truth_max"]), (&"gpt-4o".into(), &1_000.into()));
    let sheet = sample.printed(&["meter", "--csv"]);
    assert!(sheet.starts_with("provider,model,has_tools,method,calls,overruns,"), "{sheet}");
    assert!(sheet.contains("\r\nopenai,gpt-4o,false,exact,1,0,1000,"), "{sheet}");
}

#[test]
fn a_report_adds_up_by_tag_and_time() {
    let sample = sample();
    let expected = [
        "model calls tool calls input cached written output reasoning spent in doubt pending share",
        "gpt-4o 2 0 2,000 0 0 500 0 0.01 0.00 0.00 93.0 %",
        "gpt-4o-mini 1 0 0 0 0 0 0 0.00075 0.00075 0.00 7.0 %",
        "(none) 0 1 0 0 0 0 0 0.00 0.00 0.00 0.0 %",
        "total 3 1 2,000 0 0 500 0 0.01075 0.00075 0.00 100.0 %",
    ];
    assert_eq!(cells(&sample.printed(&["report", "--by", "model"])), expected);
    let report = sample.json(&["report", "--by", "tag:tenant"]);
    assert_eq!(report["rows"][0]["key"], "acme");
    assert_eq!(report["totals"]["spent_usd"], "0.01075");
    assert_eq!(sample.json(&["report", "--by", "attempt"])["rows"][0]["attempt"], 1);

    sample.clock.advance(2 * DAY);
    let late = sample.ledger.task("late", []).unwrap();
    late.tool_call("search").unwrap();
    for since in ["24h", "1d", "2100-01-02", "2100-01-02T00:00:00Z"] {
        let report = sample.json(&["report", "--since", since]);
        assert_eq!(report["rows"].as_array().unwrap().len(), 1, "{since}");
        assert_eq!(report["rows"][0]["key"], "late");
    }
    assert_eq!(sample.json(&["report", "--since", "7d"])["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn a_report_as_csv_can_be_read_and_runs_nothing() {
    let sample = sample();
    let text = sample.printed(&["report", "--by", "tag:tenant", "--csv"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let keys: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, key: &str| &rows[row][keys.iter().position(|own| own == key).unwrap()];
    assert_eq!((cell(0, "key"), cell(0, "spent_usd"), cell(0, "share_per_mille")), ("acme", "0.01", "930"));
    assert_eq!((cell(1, "key"), cell(1, "in_doubt_usd")), ("'=cmd|'calc'!A1", "0.00075"));
}

#[test]
fn what_is_in_doubt_is_listed_and_ended() {
    let sample = sample();
    let id = sample.doubted();
    let text = sample.printed(&["resolve"]);
    let line = format!("{id}   2100-01-01T12:00:00Z   payout   1         gpt-4o-mini   0.00075");
    assert_eq!(text.lines().nth(1), Some(line.as_str()));
    assert_eq!(sample.json(&["resolve"])[0]["model"], "gpt-4o-mini");

    let settled = sample.printed(&["resolve", &id, "--settle", "1000,500", "--by", "maria"]);
    assert_eq!(settled, format!("call {id} is settled at 0.00045 USD\n"));
    assert_eq!(sample.printed(&["resolve"]), "no call is in doubt\n");
    assert_eq!(sample.json(&["report"])["totals"]["settled_usd"], "0.01045");
    // The same again is the same; another word is a conflict.
    let usage = r#"{"input_tokens": 1000, "output_tokens": 500}"#;
    assert_eq!(sample.json(&["resolve", &id, "--settle-json", usage])["spent_usd"], "0.00045");
    sample.refused(&["resolve", &id, "--void"], 1, "(conflict)");
}

#[test]
fn what_was_not_billed_is_voided() {
    let sample = sample();
    let id = sample.doubted();
    assert_eq!(sample.printed(&["resolve", &id, "--void"]), format!("call {id} is voided\n"));
    assert_eq!(sample.json(&["report"])["totals"]["in_doubt_usd"], "0.00");
}

#[test]
fn an_open_call_of_a_running_process_is_nobody_elses() {
    let sample = sample();
    let task = sample.ledger.task("running", []).unwrap();
    let call = task.reserve(&Request::model("gpt-4o").input_tokens(1).max_output_tokens(1)).unwrap();
    sample.refused(&["resolve", &call.id().to_string(), "--void"], 1, "open in a running process");
    assert_eq!(sample.json(&["show", "running"])["state"], "running");
    call.void().unwrap();
}

#[test]
fn budgets_are_listed_with_what_is_left() {
    let sample = sample();
    let expected = "\
budget        limit   kind   window    resets                 amount   spent   pending   available
tenant=acme   usd     hard   day UTC   2100-01-02T00:00:00Z    50.00    0.01      0.00       49.99
";
    assert_eq!(sample.printed(&["budgets"]), expected);
    let budgets = sample.json(&["budgets"]);
    assert_eq!((&budgets[0]["name"], &budgets[0]["window"]), (&"tenant=acme".into(), &"day".into()));
    assert_eq!(budgets[0]["limits"][0]["limit"], "50.00");
}

#[test]
fn a_forgotten_value_is_gone_and_its_amounts_stay() {
    let sample = sample();
    let tag = "tenant==cmd|'calc'!A1";
    sample.refused(&["forget", tag], 2, "cannot be undone; say `--yes` (invalid_input)");
    sample.refused(&["forget", "tenant", "--yes"], 2, "is not KEY=VALUE");
    sample.refused(&["forget", "tenant=acme", "--yes"], 1, "(conflict)");
    sample.printed(&["forget", tag, "--yes"]);
    sample.refused(&["forget", tag, "--yes"], 1, "(not_found)");
    let report = sample.json(&["report", "--by", "tag:tenant"]);
    assert_eq!(
        (&report["rows"][1]["key"], &report["rows"][1]["spent_usd"]),
        (&"erased".into(), &"0.00075".into())
    );
    assert!(sample.printed(&["show", "payout"]).contains("tags: tenant=erased"));
}

#[test]
fn a_sound_ledger_is_told_from_an_edited_one() {
    let sample = sample();
    assert_eq!(sample.printed(&["check"]), "every balance is the sum of its entries\n");
    assert_eq!(sample.json(&["check"])["sound"], true);
    let path = sample.store.strip_prefix("sqlite:").unwrap();
    let edited = rusqlite::Connection::open(path).unwrap();
    edited.execute("UPDATE balances SET settled_usd = settled_usd - 1 WHERE settled_usd > 0", []).unwrap();
    sample.refused(&["check"], 3, "(corrupt)");
}

#[test]
fn nothing_is_made_where_there_is_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    for words in [&["tasks"][..], &["show", "x"], &["report"], &["resolve"], &["budgets"], &["check"]] {
        let printed = outlay(&[&["--store", &store("none/ledger.db")], words].concat());
        assert_eq!(printed.code, 1, "{words:?}");
        assert!(printed.errors.contains("there is no ledger at") && printed.errors.contains("--store"));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    assert_eq!(outlay(&["--store", &store("empty.db"), "tasks"]).code, 1);
    std::fs::write(folder.path().join("text.db"), "not a database, ".repeat(100)).unwrap();
    let printed = outlay(&["--store", &store("text.db"), "tasks"]);
    assert_eq!(printed.code, 3);
    assert!(printed.errors.ends_with("(corrupt)\n"), "{}", printed.errors);
    assert_eq!(outlay(&["--store", "memory:", "tasks"]).code, 3);
    assert_eq!(outlay(&["--store", "sqlite:../x", "tasks"]).code, 2);
}

#[test]
fn no_owner_is_left_behind() {
    let sample = sample();
    for words in [&["tasks"][..], &["show", "refund"], &["show", "nothing"], &["report"], &["check"]] {
        sample.outlay(words);
    }
    let path = sample.store.strip_prefix("sqlite:").unwrap();
    let rows = rusqlite::Connection::open(path).unwrap();
    let running = "SELECT count(*) FROM owners WHERE ended_ms IS NULL";
    let count: i64 = rows.query_row(running, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "only the owner of this test runs");
    assert_eq!(std::path::Path::new(&format!("{path}-owners")).read_dir().unwrap().count(), 1);
}

#[test]
fn the_last_one_out_leaves_one_file() {
    let Sample { ledger, _folder: folder, store, .. } = sample();
    drop(ledger);
    assert_eq!(outlay(&["--store", &store, "report"]).code, 0);
    let left = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<String> = left.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["ledger.db", "ledger.db-owners"]);
}

#[test]
fn what_is_not_understood_is_said_in_one_line() {
    let sample = sample();
    let id = sample.doubted();
    let usage = |text| ["resolve", &id, "--settle-json", text].map(ToOwned::to_owned);
    for (words, message) in [
        (&["speed"][..], "unrecognized subcommand 'speed'; see `outlay --help`"),
        (&["show"], "<TASK>"),
        (&["report", "--by", "colour"], "`colour` is none of"),
        (&["report", "--since", "yesterday"], "is no time"),
        (&["report", "--json", "--csv"], "cannot be used with"),
        (&["resolve", &id], "--void"),
        (&["resolve", "--void"], "<ID>"),
        (&["resolve", &id, "--void", "--settle", "1,1"], "cannot be used with"),
        (&["resolve", "12", "--void"], "id `12` is not a UUID"),
        (&["resolve", &id, "--settle", "1000"], "is not INPUT,OUTPUT"),
        (&["resolve", &id, "--settle", "1,-1"], "is not INPUT,OUTPUT"),
        (&["tasks", "--most", "many"], "many"),
    ] {
        sample.refused(words, 2, message);
    }
    for (text, message) in [
        ("[]", "no JSON object"),
        (r#"{"tokens": 5}"#, "`tokens` is no count of a usage"),
        (r#"{"input_tokens": 1.5}"#, "not a whole number"),
        (r#"{"input_tokens": 5, "cache_read_tokens": 6}"#, "a part of the input"),
    ] {
        let words = usage(text);
        sample.refused(&words.each_ref().map(String::as_str), 2, message);
    }
    assert_eq!(outlay(&[]).code, 2);
}

#[test]
fn an_export_is_written_as_it_is_read() {
    let sample = sample();
    let focus = sample.outlay(&["export", "focus", "--account", "1234"]);
    assert_eq!((focus.code, focus.errors.as_str()), (0, "3 rows, 0.01 USD settled\n"));
    assert!(focus.out.starts_with("BilledCost,BillingAccountId,"));
    assert_eq!(focus.out.matches(",1234,").count(), 3);
    let lines = sample.outlay(&["export", "jsonl", "--since", "2100-01-01", "--until", "2100-01-02"]);
    let settled: i64 = lines
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["kind"] == "settled")
        .map(|entry| entry["usd"].as_i64().unwrap())
        .sum();
    assert_eq!(settled, 10_000_000);
    let none = sample.outlay(&["export", "csv", "--until", "2100-01-01"]);
    assert_eq!((none.out.lines().count(), none.errors.as_str()), (1, "0 rows, 0.00 USD settled\n"));
    assert_eq!(sample.outlay(&["export", "xml"]).code, 2);
}

#[test]
fn every_command_has_help_with_examples() {
    for command in ["tasks", "show", "report", "resolve", "budgets", "forget", "check"] {
        let printed = outlay(&[command, "--help"]);
        assert_eq!((printed.code, printed.errors.as_str()), (0, ""));
        assert!(printed.out.contains(&format!("\n  outlay {command}")), "{}", printed.out);
    }
    assert!(outlay(&["--help"]).out.contains("Exit codes"));
    assert_eq!(outlay(&["--version"]).out, format!("outlay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_a_name_smuggles_in_is_shown_not_sent() {
    let sample = sample();
    let path = sample.store.strip_prefix("sqlite:").unwrap();
    let edited = rusqlite::Connection::open(path).unwrap();
    edited.execute("UPDATE names SET value = 'a' || char(27) || '[2Jb' WHERE value = 'payout'", []).unwrap();
    for words in [&["tasks"][..], &["report"], &["resolve"]] {
        let text = sample.printed(words);
        assert!(!text.contains('\u{1b}') && text.contains("a\\u{1b}[2Jb"), "{text}");
    }
    sample.refused(&["show", "\u{1b}[2J"], 1, "task `\\u{1b}[2J` is not in the ledger");
}

/// A reader that goes away.
struct Gone(io::ErrorKind);

impl io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_but_a_full_disk_is() {
    let sample = sample();
    let words = ["--store", &sample.store, "tasks"].map(ToOwned::to_owned);
    let mut errors = Vec::new();
    assert_eq!(outlay_cli::run_into(&words, &mut Gone(io::ErrorKind::BrokenPipe), &mut errors), 0);
    assert!(errors.is_empty());
    assert_eq!(outlay_cli::run_into(&words, &mut Gone(io::ErrorKind::StorageFull), &mut errors), 1);
    assert!(String::from_utf8(errors).unwrap().starts_with("outlay: the output cannot be written"));
}

#[test]
fn a_price_is_shown_by_service_tier_and_context() {
    let shown = outlay(&["prices", "show", "gpt-5.6-sol-2026-08-22", "--at", "2026-11-01"]);
    assert_eq!((shown.code, shown.errors.as_str()), (0, ""));
    let lines = cells(&shown.out);
    assert!(lines[0].starts_with("gpt-5.6-sol of openai, found as snapshot, prices of 20"), "{}", shown.out);
    assert_eq!(lines[1], "USD per million tokens, since 2026-10-14T00:00:00Z");
    assert!(lines[3].starts_with("unit standard standard >272000 batch batch >272000 flex"), "{}", shown.out);
    assert!(lines[4].starts_with("input 4.00 8.00 2.00 4.00 2.00"), "{}", shown.out);
    assert_eq!(lines.last().unwrap(), "web search: 0.01 USD");

    let shown = outlay(&["prices", "show", "gpt-5.6-sol", "--at", "2026-08-20", "--json"]);
    let price: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&price["rule"], &price["until"]), (&"listed".into(), &"2026-08-21T00:00:00Z".into()));
    assert_eq!(price["prices"][1]["above_input_tokens"], 272_000);
    assert_eq!(price["prices"][1]["usd_per_million"]["output"], "45.00");
    assert_eq!(price["web_search_usd"], "0.01");

    let unknown = outlay(&["prices", "show", "gpt-4o-foo"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""));
    assert!(unknown.errors.contains("no known price") && unknown.errors.ends_with("(unpriced)\n"));
    assert_eq!(outlay(&["prices", "show", "gpt-4o", "--at", "yesterday"]).code, 2);
}

#[test]
fn a_book_is_compared_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.txt");
    let name = file.to_str().unwrap();
    let bundled = include_str!("../../../core/prices/book.txt");
    std::fs::write(&file, bundled).unwrap();
    assert_eq!(outlay(&["prices", "diff", name]).out, "no price differs\n");
    let update = outlay(&["prices", "update", name]);
    assert_eq!((update.code, update.out.as_str()), (1, ""));
    assert!(update.errors.contains("the bundled one of"), "{}", update.errors);

    let dearer = bundled.replacen("\ngpt-4-turbo\t", "\ngpt-4-dear\t\ti9 o9\ngpt-4-turbo\t", 1);
    std::fs::write(&file, dearer).unwrap();
    let diff = outlay(&["prices", "diff", name]);
    let lines = [
        "provider model unit before after",
        "openai gpt-4-dear input - 9.00",
        "openai gpt-4-dear output - 9.00",
    ];
    assert_eq!((diff.code, cells(&diff.out)), (0, lines.map(str::to_owned).to_vec()));
    let diff: Value = serde_json::from_str(&outlay(&["prices", "diff", name, "--json"]).out).unwrap();
    assert_eq!((&diff[0]["before_usd"], &diff[0]["after_usd"]), (&Value::Null, &"9.00".into()));

    std::fs::write(&file, "{}").unwrap();
    for command in ["diff", "update"] {
        let refused = outlay(&["prices", command, name]);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""));
        assert!(refused.errors.contains("is no price book"), "{}", refused.errors);
    }
    assert_eq!(outlay(&["prices", "diff", "/nowhere/book.txt"]).code, 2);
}

#[test]
fn a_scope_is_halted_listed_and_halted_no_longer() {
    let sample = sample();
    let task = sample.ledger.task("refund", []).unwrap();
    let request = Request::model("gpt-4o").input_tokens(10).max_output_tokens(10);
    assert_eq!(sample.printed(&["halt"]), "nothing is halted\n");
    let said = sample.printed(&["halt", "refund", "--by", "maria", "--reason", "wrong prompt"]);
    assert_eq!(said, "refund is halted: 1 open attempts lie in it\n");
    let error = task.reserve(&request).unwrap_err();
    assert_eq!(error.to_string(), "`refund` was halted by `maria`: wrong prompt");
    let expected = ["scope since by reason", "refund 2100-01-01T12:00:00Z maria wrong prompt"];
    assert_eq!(cells(&sample.printed(&["halt"])), expected);
    assert_eq!(sample.json(&["halt"])[0]["reason"], "wrong prompt");
    assert_eq!(sample.printed(&["unhalt", "refund"]), "refund is halted no longer\n");
    task.reserve(&request).unwrap();
    sample.refused(&["unhalt", "refund"], 1, "`refund` is not halted (not_found)");
    sample.refused(&["halt", "refund"], 2, "--reason");
    sample.refused(&["halt", "=x", "--reason", "y"], 2, "tag key");
    let said = sample.printed(&["halt", "o=1", "--reason", "y"]);
    assert!(
        said.ends_with("\nit is a tag; a task whose id holds `=` is named by its name or its UUID\n"),
        "{said}"
    );
    assert_eq!(sample.json(&["halt", "tenant=none", "--reason", "y"])["open_attempts"], 0);
}

#[test]
fn an_audit_proves_the_ledger_against_a_checkpoint() {
    let sample = sample();
    assert!(sample.printed(&["audit"]).contains(" are as they were written"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, file) = (path("audit.pem"), path("kept"));
    let public = outlay(&["audit", "keygen", &key]);
    assert_eq!((public.code, public.out.trim().len()), (0, 64), "{}", public.errors);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(outlay(&["audit", "keygen", &key]).code, 2, "a key is not written over");
    std::fs::write(&file, sample.printed(&["audit", "checkpoint", "--sign", &key])).unwrap();
    let public = public.out.trim();
    let verified = sample.printed(&["audit", "verify", &file, "--key", public]);
    assert!(verified.contains(" as the checkpoint says") && verified.contains(public), "{verified}");
    assert!(sample.printed(&["audit", "verify", &file]).contains("a key nobody vouched for"));
    let other = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    sample.refused(&["audit", "verify", &file, "--key", other], 1, "is signed by");

    let db = rusqlite::Connection::open(sample.store.strip_prefix("sqlite:").unwrap()).unwrap();
    db.execute("UPDATE entries SET usd = usd - 1 WHERE seq = 5", []).unwrap();
    drop(db);
    let printed = sample.outlay(&["audit", "verify", &file, "--json"]);
    assert_eq!((printed.code, printed.errors.as_str()), (1, ""));
    let said: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!((&said["sound"], &said["problems"][0]["place"]["entries"][0]), (&false.into(), &5.into()));
    let printed = sample.outlay(&["audit"]);
    assert!(printed.code == 1 && printed.out.starts_with("entr"), "{}", printed.out);
    sample.refused(&["audit", "checkpoint", "--sign", &key], 3, "not sound");
}

#[test]
fn a_plan_says_what_a_flow_will_cost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flow.toml").display().to_string();
    let flow = "tasks = 100\nretries = 1\nstep = [{ name = 'a', usd = 1, success = 0.9 }]";
    std::fs::write(&file, flow).unwrap();
    let said: Value = serde_json::from_str(&outlay(&["plan", &file, "--json"]).out).unwrap();
    assert_eq!(said["rows"][0]["policy"], "restart");
    assert!((said["rows"][0]["usd_per_task"]["value"].as_f64().unwrap() - 1.1).abs() < 1e-9);
    assert!(said["rows"][0]["usd_per_task"]["interval"].is_null());
    let printed = outlay(&["plan", &file]);
    assert_eq!(printed.code, 0, "{}", printed.errors);
    assert!(printed.out.starts_with("a run costs 1.0000 USD if nothing fails, and 90.0 % of runs succeed\n"));
    assert!(printed.out.contains("\nrestart "), "{}", printed.out);
    std::fs::write(&file, "step = []").unwrap();
    assert_eq!(outlay(&["plan", &file]).code, 2);
    assert_eq!(outlay(&["plan", "/nowhere/flow.toml"]).code, 2);
}

#[test]
fn a_task_is_shown_with_its_deadline() {
    let sample = sample();
    assert_eq!(sample.json(&["show", "refund"])["deadline"], Value::Null);
    let options = TaskOptions::new("write").deadline(Deadline::After(600_000));
    let _task = sample.ledger.open_task(options).unwrap();
    assert!(sample.printed(&["show", "write"]).contains("\ncalls until 2100-01-01T12:10:00Z\n"));
    assert_eq!(sample.json(&["show", "write"])["deadline"], "2100-01-01T12:10:00Z");
}

#[test]
fn what_a_task_asks_for_is_listed_and_given() {
    let sample = sample();
    assert_eq!(sample.printed(&["approvals"]), "nobody asks for approval\n");
    let options = TaskOptions::new("write").limit(Limit::usd("0.01").unwrap()).on_limit(OnLimit::Ask);
    let task = sample.ledger.open_task(options).unwrap();
    let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(500); // 0.015 USD
    task.reserve(&request).unwrap_err();
    let asks = sample.json(&["approvals"]);
    let id = asks[0]["id"].as_str().unwrap();
    let expected = [
        "id asked task limit of unit limit needed".to_owned(),
        format!("{id} 2100-01-01T12:00:00Z write task `write` usd 0.01 0.005"),
    ];
    assert_eq!(cells(&sample.printed(&["approvals"])), expected);
    sample.refused(&["approve", id, "--add", "0"], 2, "a limit cannot be raised by `0`");
    sample.refused(&["approve", id, "--add", "1", "--key", "/nowhere"], 2, "cannot be read");
    let said = sample.printed(&["approve", id, "--add", "0.50", "--by", "maria"]);
    assert_eq!(said, "task `write` allows 0.51 usd now\n");
    task.reserve(&request).unwrap();
    let again = sample.json(&["approve", id, "--add", "0.50"]);
    assert_eq!((&again["granted"], &again["by"]), (&"0.50".into(), &"maria".into()));
    sample.refused(&["approve", id, "--add", "0.60"], 1, "(conflict)");
}

#[test]
fn logs_are_imported_and_reported_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.csv");
    let head = "id,time,task,model,input_tokens,output_tokens\n";
    std::fs::write(&file, format!("{head}1,2026-06-01,refund-1,gpt-4o,1000,500\n2,2026-06-01,x\n")).unwrap();
    let store = format!("sqlite:{}", folder.path().join("past.db").display());
    let run = |words: &[&str]| outlay(&[&["--store", store.as_str()], words].concat());
    let file = file.display().to_string();
    let printed = run(&["import", "csv", &file]);
    assert_eq!((printed.code, printed.errors.as_str()), (0, ""));
    assert!(
        printed.out.starts_with("1 calls of 0.0075 USD imported from 2 lines of 1 files\n1 lines cannot")
    );
    let again: Value = serde_json::from_str(&run(&["import", "csv", &file, "--json"]).out).unwrap();
    assert_eq!(
        (&again["calls"], &again["known_calls"], &again["spent_usd"]),
        (&0.into(), &1.into(), &"0.00".into())
    );
    let report: Value = serde_json::from_str(&run(&["report", "--json"]).out).unwrap();
    assert_eq!(report["totals"]["settled_usd"], "0.0075");
    assert_eq!(run(&["import", "csv", "/nowhere"]).code, 1);
    assert_eq!(run(&["import", "diary", &file]).code, 2);
}

#[test]
fn what_would_have_been_refused_is_reported() {
    let sample = sample();
    assert_eq!(sample.printed(&["report", "observed"]), "nothing would have been refused\n");
    let options = TaskOptions::new("write").limit(Limit::usd("0.01").unwrap()).observe();
    let task = sample.ledger.open_task(options).unwrap();
    let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(500); // 0.015 USD
    task.reserve(&request).unwrap().settle(&Usage::tokens(4_000, 100)).unwrap(); // 0.011 USD
    let expected = [
        "task limit of unit first last calls spent",
        "write task `write` usd 2100-01-01T12:00:00Z 2100-01-01T12:00:00Z 1 0.011",
    ];
    assert_eq!(cells(&sample.printed(&["report", "observed"])), expected);
    assert_eq!(sample.json(&["report", "observed"])["rows"][0]["budget"], "task `write`");
    let sheet = sample.printed(&["report", "observed", "--since", "1h", "--csv"]);
    assert!(sheet.contains("write,task `write`,usd,1,0.011,"), "{sheet}");
    sample.refused(&["report", "observed", "--by", "agent"], 2, "--by");
    sample.refused(&["report", "all"], 2, "observed");
}
