//! Do logs of other tools come in as what they say, once, whatever else is in them?

use std::{fs, path::PathBuf, sync::Arc};

use outlay::{
    BudgetOptions, Config, ErrorKind, Ledger, Limit, Money, Usage, Window,
    meter::{PriceBook, ServiceTier},
    report::{By, Imported, Report, ReportOptions, Source, WasteKind, import},
};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("logs/deep")).unwrap();
        Self { folder }
    }

    fn log(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join("logs").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn store(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("ledger.db").display())
    }

    fn try_import(&self, source: Source) -> outlay::Result<Imported> {
        import(source, &self.folder.path().join("logs"), &self.store(), Arc::new(Config::default()))
    }

    fn import(&self, source: Source) -> Imported {
        self.try_import(source).unwrap()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.store(), Arc::new(Config::default())).unwrap()
    }

    fn report(&self, by: By) -> Report {
        let ledger = self.ledger();
        ledger.check_balances().unwrap();
        assert!(ledger.audit(None).unwrap().is_sound());
        ledger.report(&ReportOptions::by(by)).unwrap()
    }
}

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn price(model: &str, time: &str, usage: &Usage) -> Money {
    PriceBook::bundled().find(None, model, at(time)).unwrap().charge(usage).unwrap().amount
}

/// A line as Claude Code writes it.
fn claude(session: &str, id: &str, time: &str, output: u64, cached: u64) -> String {
    format!(
        r#"{{"parentUuid":null,"isSidechain":false,"userType":"external","cwd":"/home/ann/shop","sessionId":"{session}","version":"2.1.63","gitBranch":"main","type":"assistant","uuid":"u-{id}-{output}","timestamp":"{time}","requestId":"req_{id}","message":{{"id":"{id}","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{{"type":"text","text":"…"}}],"stop_reason":null,"usage":{{"input_tokens":10,"cache_creation_input_tokens":1000,"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":600,"ephemeral_1h_input_tokens":400}},"output_tokens":{output},"service_tier":"standard"}}}}}}"#
    )
}

const USER: &str = r#"{"type":"user","sessionId":"s1","timestamp":"2026-03-01T10:00:00.000Z","message":{"role":"user","content":"hello"}}"#;
const SYNTHETIC: &str = r#"{"type":"assistant","sessionId":"s1","timestamp":"2026-03-01T10:00:00.000Z","uuid":"x","message":{"id":"x","model":"<synthetic>","usage":{"input_tokens":0,"output_tokens":0}}}"#;

#[test]
fn the_last_usage_of_a_streamed_message_counts() {
    let place = Place::new();
    let first = [
        USER.to_owned(),
        claude("s1", "msg_1", "2026-03-01T10:00:01.000Z", 3, 5_000),
        claude("s1", "msg_1", "2026-03-01T10:00:02.000Z", 3, 5_000),
        claude("s1", "msg_1", "2026-03-01T10:00:03.000Z", 159, 5_000),
        SYNTHETIC.to_owned(),
        claude("s1", "msg_2", "2026-03-01T10:05:00.000Z", 40, 6_000),
        // The process died while it wrote.
        claude("s1", "msg_3", "2026-03-01T10:06:00.000Z", 9, 0)[..200].to_owned(),
    ];
    place.log("s1.jsonl", &first.join("\n"));
    // A session that was resumed begins with what it goes on from, here cut off mid-stream.
    let second = [
        claude("s2", "msg_1", "2026-03-01T10:00:01.000Z", 3, 5_000),
        claude("s2", "msg_4", "2026-03-02T09:00:00.000Z", 70, 100),
        "{\"type\":\"assistant\",\"timestamp\":\"2026-03-02T09:00:00Z\",\"message\":{\"role\":\"assistant\"}}".into(),
        "\u{0}\u{0}".to_owned(),
        String::new(),
    ];
    place.log("deep/s2.jsonl", &second.join("\n"));
    place.log("notes.txt", "not a log");

    let imported = place.import(Source::ClaudeCode);
    let usage = |output, cached| Usage {
        cache_read_tokens: cached,
        cache_write_tokens: 600,
        cache_write_1h_tokens: 400,
        ..Usage::tokens(1_010 + cached, output)
    };
    let (model, march) = ("claude-sonnet-4-5-20250929", "2026-03-01T10:00:01Z");
    let costs =
        [usage(159, 5_000), usage(40, 6_000), usage(70, 100)].map(|usage| price(model, march, &usage));
    let spent = costs.into_iter().fold(Money::ZERO, |sum, cost| sum.checked_add(cost).unwrap());
    assert_eq!((imported.calls, imported.spent), (3, spent));
    assert_eq!((imported.files, imported.lines), (2, 11));
    assert_eq!((imported.repeated_lines, imported.malformed_lines, imported.other_lines), (3, 3, 2));
    assert_eq!(imported.first_malformed.len(), 3);
    assert!(imported.first_malformed.iter().any(|line| line.contains("s1.jsonl:7: ")), "{imported}");

    let report = place.report(By::Task);
    assert_eq!((report.totals.calls(), report.totals.settled()), (3, spent));
    assert_eq!(report.totals.tokens.output, 159 + 40 + 70);
    assert_eq!((report.totals.overrun_calls, report.totals.estimated_calls), (0, 2));
    let keys: Vec<_> = report.rows.iter().map(|row| row.key.clone().unwrap()).collect();
    assert!(keys.contains(&"claude-code:s1".to_owned()) && keys.contains(&"claude-code:s2".to_owned()));
    let by_project = place.report(By::Tag("project".to_owned()));
    assert_eq!(by_project.rows[0].key.as_deref(), Some("shop"));
    // Entries are dated as the log says.
    let since = |text: &str| {
        let options = ReportOptions::by(By::Task).since(text.parse().unwrap());
        place.ledger().report(&options).unwrap().totals.calls()
    };
    assert_eq!((since("2026-03-01"), since("2026-03-02"), since("2026-03-03")), (3, 1, 0));

    let again = place.import(Source::ClaudeCode);
    assert_eq!((again.calls, again.known_calls, again.spent), (0, 3, Money::ZERO));
    assert_eq!(place.report(By::Task).totals.settled(), spent);

    // What has been written since comes in beside it, also when the first log is gone.
    fs::remove_file(place.folder.path().join("logs/s1.jsonl")).unwrap();
    let more = claude("s2", "msg_5", "2026-03-02T10:00:00.000Z", 1, 0);
    place.log("deep/s2.jsonl", &(second.join("\n") + "\n" + &more));
    let grown = place.import(Source::ClaudeCode);
    assert_eq!((grown.calls, grown.known_calls, grown.redated_calls), (1, 2, 0));
    assert_eq!(place.report(By::Task).totals.calls(), 4);
}

#[test]
fn a_call_is_charged_by_the_tier_and_region_it_was_served_in() {
    let place = Place::new();
    let time = "2026-11-01T10:00:00.000Z";
    let line = |id: &str, model: &str, served: &str| {
        claude("s1", id, time, 1_000, 5_000)
            .replace("claude-sonnet-4-5-20250929", model)
            .replace(r#""service_tier":"standard""#, served)
    };
    let lines = [
        line("msg_1", "claude-opus-5", r#""service_tier":"standard""#),
        line("msg_2", "claude-opus-5", r#""service_tier":"batch""#),
        line("msg_3", "claude-opus-5", r#""service_tier":"standard","speed":"fast""#),
        line("msg_4", "claude-opus-5", r#""service_tier":"standard","inference_geo":"us""#),
        line("msg_5", "claude-opus-5", r#""service_tier":"priority""#),
    ];
    place.log("s1.jsonl", &lines.join("\n"));
    let usage = Usage {
        cache_read_tokens: 5_000,
        cache_write_tokens: 600,
        cache_write_1h_tokens: 400,
        ..Usage::tokens(6_010, 1_000)
    };
    let price = PriceBook::bundled().find(None, "claude-opus-5", at(time)).unwrap();
    let served = |tier| price.charge_served(&usage, tier).unwrap().amount.nanos();
    let standard = served(ServiceTier::Standard);
    let regional = price.in_region().unwrap().charge(&usage).unwrap().amount.nanos();
    let (batch, fast) = (served(ServiceTier::Batch), served(ServiceTier::Fast));
    assert!(batch < standard && standard < regional && regional < fast);
    let imported = place.import(Source::ClaudeCode);
    assert_eq!((imported.calls, imported.unpriced_calls), (5, 1));
    assert_eq!(imported.spent.nanos(), standard + batch + fast + regional);
    let report = place.report(By::Task);
    assert_eq!((report.totals.settled(), report.totals.unpriced_calls), (imported.spent, 1));
    assert_eq!(report.totals.overrun_calls, 0);
}

#[test]
fn a_message_that_was_still_streaming_is_corrected() {
    let place = Place::new();
    let line = |id: &str, minute: u32, output: u64| {
        claude("s1", id, &format!("2026-03-01T10:{minute:02}:00.000Z"), output, 5_000)
    };
    let mut lines = vec![line("msg_1", 0, 650), line("msg_2", 1, 1)];
    place.log("s1.jsonl", &lines.join("\n"));
    let first = place.import(Source::ClaudeCode);
    assert_eq!((first.calls, first.corrected_calls), (2, 0));
    let totals = place.report(By::Task).totals;
    assert_eq!((totals.tokens.output, totals.estimated_calls), (651, 1));
    // Nothing is known that was not.
    assert_eq!(place.import(Source::ClaudeCode).known_calls, 2);
    // Nor while it still streams, as it is corrected once.
    lines.push(line("msg_2", 1, 400));
    place.log("s1.jsonl", &lines.join("\n"));
    let streaming = place.import(Source::ClaudeCode);
    assert_eq!((streaming.known_calls, streaming.corrected_calls), (2, 0));
    lines.push(line("msg_2", 1, 900).replace(r#""stop_reason":null"#, r#""stop_reason":"end_turn""#));
    place.log("s1.jsonl", &lines.join("\n"));
    let grown = place.import(Source::ClaudeCode);
    assert_eq!((grown.calls, grown.known_calls, grown.corrected_calls), (0, 1, 1), "{grown}");
    assert!(grown.to_string().contains("1 calls used more than when they were imported"), "{grown}");
    let totals = place.report(By::Task).totals;
    assert_eq!((totals.tokens.output, totals.calls(), totals.estimated_calls), (1_550, 2, 0));
    assert_eq!(totals.settled(), first.spent.checked_add(grown.spent).unwrap());
    let again = place.import(Source::ClaudeCode);
    assert_eq!((again.known_calls, again.corrected_calls, again.spent), (2, 0, Money::ZERO));
    // One that was over as it was imported is exact from then on.
    lines.extend([line("msg_3", 2, 70), line("msg_4", 3, 80)]);
    place.log("s1.jsonl", &lines[..5].join("\n"));
    place.import(Source::ClaudeCode);
    place.log("s1.jsonl", &lines.join("\n"));
    let over = place.import(Source::ClaudeCode);
    assert_eq!((over.calls, over.known_calls, over.corrected_calls, over.redated_calls), (1, 3, 0, 0));
    assert_eq!(place.report(By::Task).totals.estimated_calls, 1);
}

/// On day one there are counts and no prefixes.
#[test]
fn a_cache_that_was_lost_is_waste_of_an_imported_session() {
    let place = Place::new();
    let line = |id: &str, time: &str, cached: u64, written: u64| {
        claude("s1", id, &format!("2026-03-01T10:{time}.000Z"), 50, cached)
            .replace(r#"creation_input_tokens":1000"#, &format!(r#"creation_input_tokens":{written}"#))
            .replace(
                r#""ephemeral_5m_input_tokens":600"#,
                &format!(r#""ephemeral_5m_input_tokens":{}"#, written - 400),
            )
    };
    let lines = [
        line("msg_1", "00:00", 5_000, 1_000),
        line("msg_2", "01:00", 6_000, 500),
        // 2,500 of the 6,500 tokens that were there had to be written again.
        line("msg_3", "02:00", 4_000, 3_000),
        // Other conversations are shorter, and after ten minutes a cache may be gone.
        line("msg_4", "03:00", 0, 2_000),
        line("msg_5", "13:00", 0, 8_000),
        USER.to_owned(),
    ];
    place.log("s1.jsonl", &lines.join("\n"));
    assert_eq!(place.import(Source::ClaudeCode).calls, 5);
    let report = place.ledger().waste(None).unwrap();
    let [waste] = report.kinds.as_slice() else { panic!("{report}") };
    let [item] = waste.items.as_slice() else { panic!("{report}") };
    // In whole blocks of 128; 3 − 0.3 USD per million.
    assert_eq!((waste.kind, item.missed_tokens), (WasteKind::CacheMiss, 6_400 - 4_000));
    assert_eq!((item.usd.nanos(), item.differs_at), (2_400 * 2_700, None));
    assert!(report.to_string().contains(": at most 2,400 tokens missed"), "{report}");
}

#[test]
fn codex_counts_a_call_once() {
    let place = Place::new();
    let count = |time: &str, total: [u64; 4], last: Option<[u64; 4]>| {
        let counts = |[input, cached, output, reasoning]: [u64; 4]| {
            format!(
                r#"{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":{reasoning},"total_tokens":{}}}"#,
                input + output
            )
        };
        let last = last.map_or("null".to_owned(), counts);
        format!(
            r#"{{"timestamp":"{time}","type":"event_msg","payload":{{"type":"token_count","info":{{"total_token_usage":{},"last_token_usage":{last},"model_context_window":272000}},"rate_limits":null}}}}"#,
            counts(total)
        )
    };
    let lines = [
        r#"{"timestamp":"2026-05-01T08:00:00.000Z","type":"session_meta","payload":{"id":"0199-a","cwd":"/home/ann/api","cli_version":"0.98.0"}}"#.to_owned(),
        r#"{"timestamp":"2026-05-01T08:00:01.000Z","type":"turn_context","payload":{"cwd":"/home/ann/api","model":"gpt-5-codex"}}"#.to_owned(),
        r#"{"timestamp":"2026-05-01T08:00:02.000Z","type":"event_msg","payload":{"type":"token_count","info":null,"rate_limits":{"primary":{"used_percent":7.0}}}}"#.to_owned(),
        count("2026-05-01T08:00:05.000Z", [9_000, 4_000, 300, 100], Some([9_000, 4_000, 300, 100])),
        count("2026-05-01T08:00:06.000Z", [9_000, 4_000, 300, 100], Some([9_000, 4_000, 300, 100])),
        // Without the usage of the call alone it is what the session used since.
        count("2026-05-01T08:01:00.000Z", [21_000, 12_000, 500, 150], None),
        r#"{"timestamp":"2026-05-01T08:01:01.000Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":-4}}}}"#.to_owned(),
        "{\"timestamp\":\"2026-05".to_owned(),
    ];
    place.log("deep/rollout-2026-05-01T08-00-00-0199-a.jsonl", &lines.join("\n"));
    let imported = place.import(Source::Codex);
    let call = |input, cached, output, reasoning| Usage {
        cache_read_tokens: cached,
        reasoning_tokens: reasoning,
        ..Usage::tokens(input, output)
    };
    let costs = [call(9_000, 4_000, 300, 100), call(12_000, 8_000, 200, 50)]
        .map(|usage| price("gpt-5-codex", "2026-05-01T08:00:00Z", &usage));
    assert_eq!((imported.calls, imported.spent), (2, costs[0].checked_add(costs[1]).unwrap()));
    assert_eq!((imported.repeated_lines, imported.malformed_lines, imported.other_lines), (1, 2, 3));
    let report = place.report(By::Model);
    assert_eq!(report.rows[0].key.as_deref(), Some("gpt-5-codex"));
    assert_eq!((report.totals.tokens.reasoning, report.totals.tokens.cache_read), (150, 12_000));
    assert_eq!(place.import(Source::Codex).known_calls, 2);

    // A fork tells of itself, then what its origin told; what comes behind is its own, whichever is
    // read first.
    let fork = |name: &str, id: &str| {
        let own = format!(
            r#"{{"timestamp":"2026-05-02T08:00:00.000Z","type":"session_meta","payload":{{"id":"{id}","forked_from_id":"0199-a","cwd":"/home/ann/api"}}}}"#
        );
        let new = count("2026-05-02T08:01:00.000Z", [30_000, 20_000, 900, 150], Some([9_000, 8_000, 400, 0]));
        place.log(name, &[vec![own], lines[..6].to_vec(), vec![new]].concat().join("\n"));
    };
    fork("deep/rollout-2026-05-02T08-00-00-0199-f.jsonl", "0199-f");
    let forked = place.import(Source::Codex);
    assert_eq!((forked.calls, forked.known_calls), (1, 2), "{forked}");
    let rows = place.report(By::Task).rows;
    let calls = |key: &str| rows.iter().find(|row| row.key.as_deref() == Some(key)).unwrap().figures.calls();
    assert_eq!((calls("codex:0199-a"), calls("codex:0199-f")), (2, 1));
}

#[test]
fn litellm_comes_as_lines_and_as_an_array_that_may_be_cut_off() {
    let row = |id: &str, more: &str| {
        format!(
            r#"{{"request_id":"{id}","call_type":"acompletion","api_key":"88dc28d0f030c55ed4ab","spend":99.5,"total_tokens":1500,"prompt_tokens":1000,"completion_tokens":500,"startTime":"2026-06-01T12:00:00.123Z","endTime":"2026-06-01T12:00:04Z","model":"gpt-4o","custom_llm_provider":"openai","team_id":"team-a","end_user":"","metadata":{{"usage_object":{{"prompt_tokens_details":{{"cached_tokens":400}}}}}}{more}}}"#
        )
    };
    let rows = [
        row("r1", ""),
        row("r2", r#","cache_hit":"True""#),
        row("r3", r#","status":"failure","completion_tokens_":0"#),
        row("r4", r#","model_id":"x","session_id":"chat-1""#),
        row("r4", ""),
    ];
    let cost = price(
        "gpt-4o",
        "2026-06-01T12:00:00Z",
        &Usage { cache_read_tokens: 400, ..Usage::tokens(1_000, 500) },
    );
    for (name, text) in [
        ("spend.jsonl", rows.join("\n") + "\n{\"request_id\": \"r9\", \"prompt_tok"),
        ("spend.json", format!(" [{}, {{\"request_id\": \"r9\", ", rows.join(", "))),
    ] {
        let place = Place::new();
        place.log(name, &text);
        let imported = place.import(Source::Litellm);
        // What failed after it had answered was billed.
        assert_eq!((imported.calls, imported.unbilled_calls), (3, 1), "{name}: {imported}");
        assert_eq!((imported.repeated_lines, imported.malformed_lines), (1, 1), "{name}: {imported}");
        assert_eq!(imported.spent.nanos(), cost.nanos() * 3, "priced by our book, not by `spend`");
        let by_team = place.report(By::Tag("team".to_owned()));
        assert_eq!(by_team.rows[0].key.as_deref(), Some("team-a"));
        assert_eq!(place.import(Source::Litellm).known_calls, 3);
    }
}

/// Tables that were exported by way of a database or a sheet.
#[test]
fn what_litellm_means_is_read_however_it_is_written() {
    let row = |id: &str, more: &str| {
        format!(r#"{{"request_id":"{id}","startTime":"2026-06-01T12:00:00Z","model":"gpt-4o",{more}}}"#)
    };
    let rows = [
        row(
            "r1",
            r#""prompt_tokens":"1000","completion_tokens":500,"cache_hit":false,"metadata":"{\"usage_object\": {\"prompt_tokens_details\": {\"cached_tokens\": 400}}}""#,
        ),
        row("r2", r#""prompt_tokens":1000,"completion_tokens":null,"cache_hit":null,"metadata":"""#),
        row("r3", r#""prompt_tokens":1000,"completion_tokens":500,"cache_hit":true"#),
        row("r4", r#""prompt_tokens":"many","completion_tokens":500"#),
        row("r5", r#""prompt_tokens":-3,"completion_tokens":500"#),
        row("r6", r#""prompt_tokens":1000.0,"completion_tokens":"0.0""#),
        row("r7", r#""prompt_tokens":1000.5,"completion_tokens":0"#),
    ];
    let place = Place::new();
    place.log("spend.jsonl", &rows.join("\n"));
    let imported = place.import(Source::Litellm);
    assert_eq!((imported.calls, imported.unbilled_calls, imported.malformed_lines), (3, 1, 3), "{imported}");
    assert_eq!(imported.spent, Money::parse("0.012").unwrap());
}

#[test]
fn a_table_has_the_columns_we_name() {
    let place = Place::new();
    place.log(
        "calls.csv",
        "id,time,task,name,model,input_tokens,output_tokens,cache_read_tokens,tag:tenant\n\
         1,2026-06-01,refund-1,refund,gpt-4o,1000,500,,acme\n\
         2,2026-06-01 10:00:00,refund-1,refund,gpt-4o,1000,500,1000,acme\n\
         3,2026-06-02,,,nobody-knows-it,1000,500,,\n\
         4,2026-06-02,refund-1,refund,gpt-4o,many,500,,acme\n\
         5,2026-06-02,refund-1\n\
         6,2026-06-02,refund-1,refund,gpt-4o,1000,500,2000,acme\n\
         2,2026-06-01 10:00:00,refund-1,refund,gpt-4o,1000,500,1000,acme\n",
    );
    let imported = place.import(Source::Csv);
    assert_eq!((imported.calls, imported.unpriced_calls), (3, 1), "{imported}");
    assert_eq!((imported.repeated_lines, imported.malformed_lines, imported.lines), (1, 3, 7), "{imported}");
    assert_eq!(imported.spent, Money::parse("0.01375").unwrap());
    let report = place.report(By::Tag("tenant".to_owned()));
    assert_eq!((report.rows[0].key.as_deref(), report.rows[0].figures.calls()), (Some("acme"), 2));
    assert_eq!(report.totals.unpriced_calls, 1);
    for wrong in ["id,time,model\n", "id,time,model,input_tokens,output_tokens,colour\n"] {
        place.log("calls.csv", wrong);
        assert_eq!(place.try_import(Source::Csv).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn rows_of_one_task_keep_their_own_tags() {
    let spent = |place: &Place, key: &str| {
        let report = place.report(By::Tag(key.to_owned()));
        let rows = report.rows.iter().map(|row| (row.key.clone().unwrap_or_default(), row.figures.settled()));
        rows.map(|(key, usd)| (key, usd.to_string())).collect::<std::collections::BTreeMap<_, _>>()
    };
    for task in ["", "refund-1"] {
        let place = Place::new();
        let row = |id, tenant| format!("{id},2026-06-01,{task},gpt-4o,1000,500,{tenant}\n");
        let rows = [row(1, "acme"), row(2, "beta"), row(3, ""), row(4, "acme")].concat();
        place.log("calls.csv", &format!("id,time,task,model,input_tokens,output_tokens,tag:tenant\n{rows}"));
        assert_eq!(place.import(Source::Csv).calls, 4);
        let want = [("", "0.0075 USD"), ("acme", "0.015 USD"), ("beta", "0.0075 USD")];
        assert_eq!(spent(&place, "tenant"), want.map(|(key, usd)| (key.into(), usd.into())).into());
    }
    // Two teams in one conversation, and of names that are alike as far as an id reaches.
    for session in ["chat-1".to_owned(), "x".repeat(300)] {
        let place = Place::new();
        let row = |id, team| {
            format!(
                r#"{{"request_id":"{id}","prompt_tokens":1000,"completion_tokens":500,"startTime":"2026-06-01T12:00:00Z","model":"gpt-4o","session_id":"{session}","team_id":"{team}"}}"#
            )
        };
        place.log("spend.jsonl", &[row(1, "red"), row(2, "blue"), row(3, "red")].join("\n"));
        assert_eq!(place.import(Source::Litellm).calls, 3);
        let want = [("blue", "0.0075 USD"), ("red", "0.015 USD")];
        assert_eq!(spent(&place, "team"), want.map(|(key, usd)| (key.into(), usd.into())).into());
    }
}

#[test]
fn a_call_is_charged_what_its_model_cost_at_its_date() {
    let usage = Usage::tokens(1_000_000, 1_000);
    let (model, before, after) = ("gpt-5.6", "2026-08-10T12:00:00Z", "2026-09-10T12:00:00Z");
    let (old, new) = (price(model, before, &usage), price(model, after, &usage));
    assert_ne!(old, new, "the model's price changed between");
    let place = Place::new();
    let row = |id, time| format!("{id},{time},{model},1000000,1000\n");
    let text = format!("id,time,model,input_tokens,output_tokens\n{}{}", row(1, after), row(2, before));
    place.log("calls.csv", &text);
    assert_eq!(place.import(Source::Csv).spent, old.checked_add(new).unwrap());
    assert_eq!(place.report(By::Model).totals.settled(), old.checked_add(new).unwrap());
}

#[test]
fn old_calls_in_a_ledger_in_use_are_dated_as_its_last_entry_and_said_so() {
    let place = Place::new();
    place.ledger().task("now", [Limit::usd("1").unwrap()]).unwrap();
    place.log("a.jsonl", &claude("s1", "msg_1", "2026-03-01T10:00:01.000Z", 3, 0));
    let imported = place.import(Source::ClaudeCode);
    assert_eq!((imported.calls, imported.redated_calls), (1, 1));
    assert_eq!(place.report(By::Task).totals.calls(), 1);
}

/// Their times are lost, and with them what a cache could hold of the one before.
#[test]
fn calls_dated_alike_miss_nothing() {
    let place = Place::new();
    place.ledger().task("now", [Limit::usd("1").unwrap()]).unwrap();
    let line = |id: &str, hour: u32, cached: u64| {
        claude("s1", id, &format!("2026-03-01T{hour:02}:00:00.000Z"), 50, cached)
            .replace(r#"creation_input_tokens":1000"#, r#"creation_input_tokens":20000"#)
            .replace(r#""ephemeral_5m_input_tokens":600"#, r#""ephemeral_5m_input_tokens":19600"#)
    };
    place.log("s1.jsonl", &[line("msg_1", 10, 50_000), line("msg_2", 20, 60_000)].join("\n"));
    assert_eq!(place.import(Source::ClaudeCode).redated_calls, 2);
    let report = place.ledger().waste(None).unwrap();
    assert!(report.kinds.iter().all(|waste| waste.kind != WasteKind::CacheMiss), "{report}");
}

#[test]
fn budgets_are_never_used_up_by_the_past() {
    let place = Place::new();
    let day = Limit::usd("50").unwrap().per(Window::parse("day", None).unwrap());
    place.ledger().set_budget(&BudgetOptions::new().per("tenant").limit(day)).unwrap();
    place.log("a.jsonl", &claude("s1", "msg_1", "2026-03-01T10:00:01.000Z", 3, 0));
    assert_eq!(place.try_import(Source::ClaudeCode).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(place.report(By::Task).totals.calls(), 0);
}

#[test]
fn what_is_not_there_is_said() {
    let place = Place::new();
    assert_eq!(place.try_import(Source::ClaudeCode).unwrap_err().kind(), ErrorKind::NotFound);
    let nowhere = place.folder.path().join("nowhere");
    let config = Arc::new(Config::default());
    let missing = import(Source::Codex, &nowhere, &place.store(), config.clone()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    place.log("a.jsonl", "");
    let memory = import(Source::Codex, place.folder.path(), "memory:", config).unwrap_err();
    assert_eq!(memory.kind(), ErrorKind::Unsupported);
    assert_eq!("claude".parse::<Source>().unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// Whatever is in a file, it is counted and never fatal.
#[test]
fn no_line_is_fatal() {
    let place = Place::new();
    let whole = [
        USER.to_owned(),
        claude("s1", "msg_1", "2026-03-01T10:00:01.000Z", 3, 5_000),
        claude("s1", "msg_2", "2026-03-01T10:05:00.000Z", 40, 6_000),
    ]
    .join("\n");
    // xorshift64: the same in every run.
    let mut random = 0x6f75_746c_u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    let (mut malformed, mut calls) = (0, 0);
    for round in 0..60 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at / 2..at),
            }
        }
        fs::write(place.folder.path().join("logs/a.jsonl"), bytes).unwrap();
        let place = Place { folder: TempDir::new().unwrap() }.with_logs_of(&place);
        let source = [Source::ClaudeCode, Source::Codex, Source::Litellm][round % 3];
        let imported = place.import(source);
        malformed += imported.malformed_lines;
        calls += imported.calls;
        assert_eq!(place.report(By::Task).totals.calls(), imported.calls);
    }
    assert!(malformed > 20 && calls > 5, "{malformed} malformed lines, {calls} calls");
}

impl Place {
    fn with_logs_of(self, other: &Self) -> Self {
        fs::create_dir_all(self.folder.path().join("logs")).unwrap();
        let log = "logs/a.jsonl";
        fs::copy(other.folder.path().join(log), self.folder.path().join(log)).unwrap();
        self
    }
}
