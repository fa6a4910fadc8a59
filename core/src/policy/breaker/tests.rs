use proptest::prelude::*;
use serde_json::json;

use super::*;

fn levels(breaker: &mut Breaker, steps: impl IntoIterator<Item = Value>) -> Vec<Level> {
    steps.into_iter().map(|step| breaker.observe(&Step::from_json(&step).expect("a step")).level).collect()
}

fn verdict(breaker: &mut Breaker, step: &Value) -> Verdict {
    breaker.observe(&Step::from_json(step).expect("a step"))
}

fn tool(command: &str, result: &str) -> Value {
    json!({"kind": "tool", "name": "bash", "args": {"command": command}, "result": result})
}

fn failure(command: &str, result: &str) -> Value {
    json!({"kind": "tool", "name": "bash", "args": {"command": command}, "result": result, "error": true})
}

fn configured(config: Value) -> Breaker {
    Breaker::new(&config).expect("a configuration")
}

#[test]
fn the_ladder_rises_with_the_count() {
    let mut breaker = Breaker::default();
    let seen = levels(&mut breaker, vec![tool("ls", "a"); 13]);
    let at = |level| seen.iter().position(|one| *one == level).map(|place| place + 1);
    assert_eq!([Level::Nudge, Level::Refuse, Level::Pause, Level::Stop].map(at), [3, 5, 8, 12].map(Some));
    let last = verdict(&mut breaker, &tool("ls", "a"));
    assert_eq!(last.detector, Some(Detector::NoProgress));
    let wanted = Evidence {
        tool: "bash".into(),
        count: 14,
        period: 1,
        threshold: 12,
        first_step: 1,
        last_step: 14,
        ..Evidence::default()
    };
    assert_eq!(last.evidence, wanted);
    assert_eq!(
        last.to_string(),
        "outlay breaker: the run was stopped: `bash` gave the same result to the same arguments 14 times \
         in a row (steps 1 to 14); do something else, or say what is in the way"
    );
}

#[test]
fn a_result_that_changes_is_progress() {
    let steps = (0..500).map(|n| tool("read_output", &format!("line {n}")));
    assert!(levels(&mut Breaker::default(), steps).iter().all(|level| *level == Level::Ok));
}

#[test]
fn running_the_same_script_after_each_edit_is_no_loop() {
    let mut breaker = Breaker::default();
    let steps = (0..60).map(|n| match n % 2 {
        0 => tool(&format!("sed -i s/{n}/x/ f.py"), ""),
        _ => tool("python reproduce.py", "AssertionError"),
    });
    assert!(levels(&mut breaker, steps).iter().all(|level| *level == Level::Ok));
}

#[test]
fn thoughts_and_answers_between_hide_nothing() {
    let mut breaker = Breaker::default();
    let mut nudged = Vec::new();
    for n in 0..3 {
        let said = format!("attempt {n}");
        levels(
            &mut breaker,
            [json!({"kind": "thought", "result": said}), json!({"kind": "llm", "result": said})],
        );
        nudged.push(verdict(&mut breaker, &tool("ls", "a")).level);
    }
    assert_eq!(nudged, [Level::Ok, Level::Ok, Level::Nudge]);
}

#[test]
fn a_cycle_is_found_in_its_third_round() {
    let mut breaker = Breaker::default();
    let round = ["a", "b", "c"].map(|name| tool(name, "same"));
    let seen = levels(&mut breaker, round.iter().cycle().take(12).cloned());
    assert_eq!(seen.iter().position(|level| *level == Level::Nudge), Some(8));
    assert_eq!(seen[11], Level::Refuse);
}

#[test]
fn a_mutation_begins_anew_and_its_own_repeats_have_a_limit_of_their_own() {
    let mut breaker = configured(json!({"tools": {"write": {"mutates": true}}}));
    let write = json!({"kind": "tool", "name": "write", "args": {"text": "x"}, "result": "ok"});
    let round = [tool("test", "2 failed"), tool("test", "2 failed"), write];
    let seen = levels(&mut breaker, round.iter().cycle().take(24).cloned());
    assert!(seen.iter().all(|one| *one == Level::Ok));
    let click = json!({
        "kind": "tool", "name": "click", "args": {"at": "next"}, "result": "clicked", "mutates": true
    });
    let seen = levels(&mut Breaker::default(), vec![click; 10]);
    assert_eq!(seen.iter().position(|level| *level == Level::Nudge), Some(9));
}

#[test]
fn a_failed_mutation_changed_nothing() {
    let mut breaker = configured(json!({"tools": {"bash": {"mutates": true}}}));
    assert_eq!(levels(&mut breaker, vec![failure("rm x", "no such file"); 3])[2], Level::Nudge);
}

#[test]
fn the_same_error_under_other_arguments_is_counted() {
    let mut breaker = Breaker::default();
    let steps =
        (0..5).map(|n| failure(&format!("cat f{n}"), &format!("cat: f{n}: No such file or directory")));
    assert_eq!(levels(&mut breaker, steps)[3..], [Level::Ok, Level::Nudge]);
    let steps = (0..5).map(|n| failure("x", ["disk full", "no such user"][n % 2]));
    assert!(levels(&mut Breaker::default(), steps).iter().all(|level| *level == Level::Ok));
}

#[test]
fn unknown_tools_and_unreadable_answers_have_ladders_of_their_own() {
    let unknown = |n: usize| {
        let (name, said) = (format!("t{n}"), format!("Error: unknown tool `t{n}`"));
        json!({"kind": "tool", "name": name, "result": said, "error": true})
    };
    let mut breaker = Breaker::default();
    levels(&mut breaker, (0..2).map(unknown));
    assert_eq!(verdict(&mut breaker, &unknown(2)).detector, Some(Detector::UnknownTool));

    let mut breaker = Breaker::default();
    let broken = json!({"kind": "tool", "name": "format_error", "result": "found 3 actions", "error": true});
    let seen = levels(&mut breaker, vec![broken.clone(); 10]);
    assert_eq!(seen.iter().position(|level| *level == Level::Nudge), Some(9));
    levels(&mut breaker, [tool("ls", "a")]);
    assert_eq!(verdict(&mut breaker, &broken).level, Level::Ok);
}

#[test]
fn a_parallel_batch_counts_once() {
    let call = |command: &str, batch: &str| {
        let mut step = failure(command, "503 service unavailable");
        step["batch"] = json!(batch);
        step
    };
    let mut breaker = Breaker::default();
    let fan_out: Vec<Value> = (0..8).map(|n| call(&format!("get {n}"), "turn 1")).collect();
    assert!(levels(&mut breaker, fan_out).iter().all(|level| *level == Level::Ok));
    let mut breaker = Breaker::default();
    for turn in 0..2 {
        let turn = format!("turn {turn}");
        assert!(levels(&mut breaker, vec![call("get", &turn); 4]).iter().all(|level| *level == Level::Ok));
    }
    assert_eq!(verdict(&mut breaker, &call("get", "turn 3")).level, Level::Nudge);
}

#[test]
fn its_own_refusal_is_no_news() {
    let mut breaker = Breaker::default();
    levels(&mut breaker, vec![tool("ls", "a"); 4]);
    let asked = tool("ls", "");
    let refused = breaker.check(&Step::from_json(&asked).expect("a step"));
    assert_eq!((refused.level, refused.evidence.count), (Level::Refuse, 5));
    assert_eq!(breaker.check(&Step::from_json(&tool("ls -l", "")).expect("a step")).level, Level::Ok);
    for (answer, count) in [(refused.to_string(), 5), ("Denied by policy".into(), 6)] {
        let mut step = failure("ls", &answer);
        step["refused"] = json!(count == 6);
        let said = verdict(&mut breaker, &step);
        assert_eq!((said.level, said.evidence.count), (Level::Refuse, count));
    }
    assert_eq!(verdict(&mut breaker, &tool("ls", "b")).level, Level::Ok);
}

#[test]
fn a_poll_has_time_and_not_a_count() {
    let minute = 60_000;
    let config = json!({"tools": {"job": {"poll": {"max_ms": 10 * minute, "max_interval_ms": minute}}}});
    let poll = |at: i64| json!({"kind": "tool", "name": "job", "result": "pending", "at_ms": at * 30_000});
    let seen = levels(&mut configured(config.clone()), (0..=20).map(poll));
    // Half a minute is too soon from the eighth poll on: 500 ms have doubled to 32 s.
    assert_eq!(seen.iter().position(|level| *level != Level::Ok), Some(7));
    assert!(seen.iter().all(|level| *level <= Level::Nudge));
    let mut breaker = configured(config);
    let slow = |at: i64| json!({"kind": "tool", "name": "job", "result": "pending", "at_ms": at * minute});
    let seen = levels(&mut breaker, (0..=41).map(slow));
    let at = |level| seen.iter().position(|one| *one == level);
    assert_eq!(
        [Level::Nudge, Level::Refuse, Level::Pause, Level::Stop].map(at),
        [None, Some(11), Some(21), Some(31)]
    );
    assert!(breaker.check(&Step::from_json(&slow(42)).expect("a step")).evidence.capped);
    let news = json!({"kind": "tool", "name": "job", "result": "done", "at_ms": 43 * minute});
    assert_eq!(verdict(&mut breaker, &news).level, Level::Ok);
}

#[test]
fn polls_without_times_are_counted_generously() {
    for (name, result) in [("get_status", "no news"), ("fetch_job", r#"{"state": "IN_PROGRESS"}"#)] {
        let poll = json!({"kind": "tool", "name": name, "result": result});
        let mut breaker = Breaker::default();
        let seen = levels(&mut breaker, vec![poll.clone(); 100]);
        let at = |level| seen.iter().position(|one| *one == level).map(|place| place + 1);
        let wanted = [20, 40, 60, 80].map(Some);
        assert_eq!([Level::Nudge, Level::Refuse, Level::Pause, Level::Stop].map(at), wanted, "{name}");
        assert_eq!(breaker.check(&Step::from_json(&poll).expect("a step")).level, Level::Stop);
    }
    let done = json!({"kind": "tool", "name": "fetch_job", "result": "done"});
    let poll = json!({"kind": "tool", "name": "fetch_job", "result": "pending"});
    let mut breaker = Breaker::default();
    levels(&mut breaker, vec![poll; 60]);
    assert_eq!(verdict(&mut breaker, &done).level, Level::Ok);
    assert_eq!(breaker.check(&Step::from_json(&done).expect("a step")).level, Level::Ok);
}

#[test]
fn shortening_the_conversation_is_no_work() {
    let compaction = json!({"kind": "compaction"});
    let talk = json!({"kind": "llm", "result": "I go on."});
    let mut breaker = Breaker::default();
    levels(&mut breaker, [compaction.clone(), talk.clone(), compaction.clone()]);
    assert_eq!(verdict(&mut breaker, &compaction).detector, Some(Detector::Compaction));
    levels(&mut breaker, [tool("ls", "a")]);
    assert_eq!(verdict(&mut breaker, &compaction).level, Level::Ok);
}

#[test]
fn a_model_that_repeats_itself_is_heard() {
    let said = json!({"kind": "llm", "name": "coder", "result": "I am done."});
    assert_eq!(levels(&mut Breaker::default(), vec![said.clone(); 3])[2], Level::Nudge);
    let other = json!({"kind": "llm", "name": "critic", "result": "I am done."});
    let seen = levels(&mut Breaker::default(), [&said, &other].into_iter().cycle().take(20).cloned());
    assert!(seen.iter().all(|level| *level == Level::Ok));
}

#[test]
fn a_user_who_says_something_new_begins_anew() {
    let user = |said: &str| json!({"kind": "user", "result": said});
    let mut breaker = Breaker::default();
    levels(&mut breaker, [user("go on"), tool("ls", "a"), tool("ls", "a"), user("go on")]);
    assert_eq!(verdict(&mut breaker, &tool("ls", "a")).level, Level::Nudge);
    levels(&mut breaker, [user("please list it again")]);
    assert_eq!(verdict(&mut breaker, &tool("ls", "a")).level, Level::Ok);
}

#[test]
fn what_is_allowed_still_meets_the_hard_cap() {
    let mut breaker = configured(json!({
        "hard_cap": 30,
        "no_progress": {"nudge": null, "refuse": null, "pause": null, "stop": null},
        "tools": {"bash": {"allow": true}},
    }));
    let seen = levels(&mut breaker, vec![tool("ls", "a"); 30]);
    assert_eq!(seen.iter().position(|level| *level != Level::Ok), Some(29));
    breaker.excuse();
    let capped = verdict(&mut breaker, &tool("ls", "a"));
    assert_eq!((capped.level, capped.evidence.capped), (Level::Stop, true));
}

#[test]
fn what_a_person_excused_begins_anew_below_the_hard_cap() {
    let mut breaker = Breaker::default();
    levels(&mut breaker, vec![tool("ls", "a"); 8]);
    breaker.excuse();
    assert_eq!(levels(&mut breaker, vec![tool("ls", "a"); 3]), [Level::Ok, Level::Ok, Level::Nudge]);
}

#[test]
fn hooks_say_what_makes_a_call_and_what_makes_progress() {
    let step = |page: u32, key: &str, progress: &str| {
        json!({"kind": "tool", "name": "t", "args": {"page": page}, "result": format!("noise {page}"),
               "loop_key": key, "progress": progress})
    };
    let seen = levels(&mut Breaker::default(), (0..3).map(|n| step(n, "k", "p")));
    assert_eq!(seen[2], Level::Nudge);
    let seen = levels(&mut Breaker::default(), (0..9).map(|n| step(1, "k", &n.to_string())));
    assert!(seen.iter().all(|level| *level == Level::Ok));
    let mut breaker = configured(json!({"tools": {"bash": {"loop_key": ["dir"], "progress": ["n"]}}}));
    let call = |n: u32| {
        let result = json!({"n": 1, "noise": n}).to_string();
        json!({"kind": "tool", "name": "bash", "args": {"dir": "/", "flag": n}, "result": result})
    };
    assert_eq!(levels(&mut breaker, (0..3).map(call))[2], Level::Nudge);
}

#[test]
fn a_state_fits_and_goes_on_where_it_was() {
    let tools: serde_json::Map<String, Value> =
        (0..20).map(|n| (format!("tool number {n:03}"), json!({"mutates": true}))).collect();
    let mut breaker = configured(json!({"tools": tools}));
    levels(&mut breaker, vec![tool("ls", "a"); 2]);
    breaker.observe_stream(&"said again and again; ".repeat(40));
    let state = breaker.state();
    assert!(state.len() <= 8_192, "{}", state.len());
    let mut other = Breaker::from_state(&state).expect("its state");
    assert_eq!(verdict(&mut other, &tool("ls", "a")), verdict(&mut breaker, &tool("ls", "a")));
}

#[test]
fn the_bytes_of_a_state_stay_within_a_version() {
    let mut breaker = Breaker::default();
    levels(&mut breaker, vec![tool("ls", "a"); 2]);
    let written = breaker.state();
    assert_eq!(
        hash::of(0, &written[..written.len() - 8]),
        16_135_569_422_451_369_767,
        "the layout or a digest changed: a new version"
    );
}

/// Steps of every kind out of few words, so that they repeat often.
fn steps() -> impl Strategy<Value = Vec<Value>> {
    let kind = prop::sample::select(vec!["tool", "tool", "tool", "llm", "user", "thought", "compaction"]);
    let name = prop::sample::select(vec!["bash", "get_status", "format_error", ""]);
    let said =
        prop::sample::select(vec!["a", "b", "unknown tool x", "outlay breaker: no", "2026-11-22T04:08:33Z"]);
    let moment = prop::option::of(any::<i64>());
    let step = (kind, name, said, any::<[bool; 3]>(), 0..3_u8, moment);
    let step = step.prop_map(|(kind, name, said, [error, mutates, refused], batch, moment)| {
        let batch = if batch == 0 { Value::Null } else { json!(batch) };
        json!({"kind": kind, "name": name, "args": {"q": said}, "result": said, "error": error,
               "mutates": mutates, "refused": refused, "batch": batch, "at_ms": moment})
    });
    prop::collection::vec(step, 0..120)
}

#[derive(Default)]
struct Shown(String);

impl mask::Sink for Shown {
    fn plain(&mut self, piece: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(piece));
    }

    fn mask(&mut self, _: &[u8]) {
        self.0.push('\u{0}');
    }
}

proptest! {
    #[test]
    fn nothing_repeats_where_all_masked_results_differ(
        results in prop::collection::vec("[a-f0-9 :.-]{0,14}|[a-z]{1,3} [0-9]{1,13}(ms|s)?", 0..60),
        names in prop::collection::vec("[ab]", 60),
    ) {
        let mut seen = std::collections::HashSet::new();
        let mut breaker = Breaker::default();
        for (result, name) in results.iter().zip(&names) {
            let mut masked = Shown::default();
            mask::masked(result, &mut masked);
            if !seen.insert(masked.0) {
                continue;
            }
            let step = json!({"kind": "tool", "name": name, "args": {}, "result": result});
            let said = verdict(&mut breaker, &step);
            prop_assert_eq!(said.level, Level::Ok, "{}", said);
        }
    }

    #[test]
    fn a_loop_is_found_whatever_the_noise(
        order in any::<[bool; 3]>(), blank in "[ \n\t]{1,3}", nonce in prop::array::uniform3(10_000_u32..),
        second in 10_u8..60,
    ) {
        let mut breaker = Breaker::default();
        let mut last = Level::Ok;
        for (turn, (swap, nonce)) in order.into_iter().zip(nonce).enumerate() {
            let command = format!("{blank}ls{blank}-R ");
            let args = if swap {
                json!({"nonce": nonce, "deep": [1, 2], "command": "ls -R"})
            } else {
                json!({"command": command, "deep": [1, 2], "request_id": nonce})
            };
            let result = format!("at 2026-11-22T04:{second}:3{turn}Z pid={nonce} found a.txt in 0.{nonce}s");
            let step = json!({"kind": "tool", "name": "t", "args": args, "result": result});
            last = verdict(&mut breaker, &step).level;
        }
        prop_assert_eq!(last, Level::Nudge);
    }

    #[test]
    fn a_state_can_be_taken_anywhere(steps in steps(), place in 0_usize..120) {
        let (mut straight, mut carried) = (Breaker::default(), Breaker::default());
        for (at, step) in steps.iter().enumerate() {
            if at == place {
                let state = carried.state();
                prop_assert!(state.len() <= 8_192);
                carried = Breaker::from_state(&state).expect("its own state");
            }
            prop_assert_eq!(verdict(&mut straight, step), verdict(&mut carried, step));
        }
        prop_assert_eq!(straight, carried);
    }

    #[test]
    fn bytes_that_are_no_state_are_refused_and_those_that_could_be_do_no_harm(
        place in any::<prop::sample::Index>(), byte in any::<u8>(), steps in steps(), seal in any::<bool>(),
    ) {
        let mut bytes = configured(json!({"tools": {"t": {"poll": true}}})).state();
        let sealed = bytes.len() - 8;
        bytes[place.index(sealed)] ^= byte;
        if seal {
            let digest = hash::of(14, &bytes[..sealed]);
            bytes[sealed..].copy_from_slice(&digest.to_le_bytes());
        }
        match Breaker::from_state(&bytes) {
            Ok(mut breaker) => {
                prop_assert!(seal || byte == 0);
                steps.iter().for_each(|step| drop(verdict(&mut breaker, step)));
                breaker.observe_stream(&"x y ".repeat(300));
                prop_assert!(breaker.state().len() <= 8_192);
            }
            Err(error) => prop_assert_eq!(error.kind(), crate::ErrorKind::InvalidInput),
        }
        prop_assert!(Breaker::from_state(&bytes[..place.index(bytes.len())]).is_err());
    }
}
