//! Do learned bounds hold over conversations of agents, counted by another tokenizer than ours?
//!
//! The conversations are made from a seed: a system text, tools, and turns of users in nine
//! languages, answers, calls of tools and their results (JSON, source code, logs, prose). Every
//! request resends all that came before. The truth is the count of a tokenizer the bound does not
//! know, with frames and a rendering of tools of its own.

mod fixture;

use std::{collections::HashMap, sync::Arc};

use fixture::config_with;
use outlay::{
    Config, Ledger, Limit, Task,
    meter::{
        Api, Method,
        tokens::{Encoding, count, ids},
    },
    run::{Bound, Terms},
};
use serde_json::{Value, json};

/// One nano-USD is a thousandth of a token: what is reserved tells the bound.
const PRICES: &str =
    r#"{"prices": {"house": {"input": "1", "output": "0"}, "other": {"input": "1", "output": "0"}}}"#;
const CALLS: usize = 3_000;
const NANOS_PER_TOKEN: i64 = 1_000;

const PHRASES: [&[&str]; 9] = [
    &[
        "Please check why the refund for order",
        "has not arrived yet",
        "The customer wrote again this morning",
        "and summarise what you find in two sentences",
        "Compare it with the policy we agreed on last quarter",
    ],
    &[
        "Bitte prüfe, warum die Rückerstattung für Bestellung",
        "noch nicht angekommen ist",
        "Die Kundin hat heute Morgen wieder geschrieben",
        "und fasse in zwei Sätzen zusammen, was du findest",
        "Vergleiche es mit den Geschäftsbedingungen",
    ],
    &[
        "Vérifiez pourquoi le remboursement de la commande",
        "n'est pas encore arrivé",
        "La cliente a de nouveau écrit ce matin",
        "et résumez en deux phrases ce que vous trouvez",
    ],
    &[
        "Comprueba por qué el reembolso del pedido",
        "todavía no ha llegado",
        "El cliente volvió a escribir esta mañana",
        "y resume en dos frases lo que encuentres",
    ],
    &[
        "Проверьте, почему возврат денег за заказ",
        "до сих пор не поступил",
        "Клиентка снова написала сегодня утром",
        "и подведите итог в двух предложениях",
    ],
    &[
        "请检查订单退款为什么",
        "还没有到账",
        "客户今天早上又写信来了",
        "并用两句话总结你的发现",
        "请与我们上个季度商定的政策进行比较",
    ],
    &[
        "注文の返金がまだ届いていない理由を",
        "確認してください",
        "お客様から今朝また連絡がありました",
        "わかったことを二文でまとめてください",
    ],
    &[
        "يرجى التحقق من سبب عدم وصول",
        "المبلغ المسترد للطلب",
        "كتب العميل مرة أخرى هذا الصباح",
        "ولخص ما تجده في جملتين",
    ],
    &[
        "주문 환불이 아직 도착하지 않은",
        "이유를 확인해 주세요",
        "고객이 오늘 아침에 다시 연락했습니다",
        "찾은 내용을 두 문장으로 요약해 주세요",
    ],
];
const CODE: [&str; 2] = [include_str!("../src/policy/breaker/mask.rs"), include_str!("../vocab/claude.py")];
const PROSE: &str = include_str!("../../LICENSE-APACHE");

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Some lines of a text.
    fn lines(&mut self, text: &str, most: usize) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let from = self.below(lines.len() - most);
        lines[from..from + 1 + self.below(most)].join("\n")
    }

    fn sentences(&mut self, language: usize, most: usize) -> String {
        let sentence = |random: &mut Self| {
            let (phrase, number) = (random.one(PHRASES[language]), random.below(100_000));
            format!("{phrase} {number}. ")
        };
        let sentences: Vec<String> = (0..=self.below(most)).map(|_| sentence(self)).collect();
        sentences.concat()
    }

    fn result(&mut self, language: usize) -> String {
        match self.below(5) {
            0 => {
                let code = self.one(&CODE);
                self.lines(code, 40)
            }
            1 => self.lines(PROSE, 25),
            2 => self.sentences(language, 12),
            3 => {
                let line = |no| {
                    let took = self.0 >> 52;
                    format!("2026-11-{no:02}T10:{no:02}:07Z WARN worker-{} took {took} ms", no % 4)
                };
                (1..=20).map(line).collect::<Vec<_>>().join("\n")
            }
            _ => {
                let rows = (0..=self.below(15)).map(|line| {
                    let id = format!("ord_{:08x}", self.below(1 << 31));
                    let (amount, note) = (self.below(100_000), self.one(PHRASES[language]));
                    json!({"order_id": id, "amount": amount, "currency": "EUR", "line": line, "note": note})
                });
                let rows: Vec<Value> = rows.collect();
                json!({ "rows": rows, "next": null }).to_string()
            }
        }
    }
}

fn tools() -> Value {
    let tool = |name: &str, says: &str| {
        let query = json!({"type": "string", "description": "What to look for"});
        let properties = json!({"query": query, "limit": {"type": "integer"}});
        let parameters = json!({"type": "object", "properties": properties, "required": ["query"]});
        let function = json!({"name": name, "description": says, "parameters": parameters});
        json!({"type": "function", "function": function})
    };
    json!([
        tool("search_orders", "Searches orders by id, customer or text"),
        tool("read_file", "Reads a file of the workspace"),
        tool("run_command", "Runs a command in a sandbox and returns what it printed"),
    ])
}

/// The requests of one conversation, each with all messages of the one before.
fn conversation(random: &mut Random, language: usize, has_tools: bool, turns: usize) -> Vec<Value> {
    let system = random.lines(PROSE, 60).repeat(1 + random.below(3));
    let mut messages = vec![
        json!({"role": "system", "content": format!("You help with orders and code. {system}")}),
        json!({"role": "user", "content": random.sentences(language, 6)}),
    ];
    let mut requests = Vec::new();
    for turn in 0..turns {
        let mut body = json!({"model": "house", "max_tokens": 1, "messages": messages});
        if has_tools {
            body["tools"] = tools();
        }
        requests.push(body);
        if has_tools && random.below(4) != 0 {
            let arguments =
                json!({"query": random.one(PHRASES[language]), "limit": random.below(50)}).to_string();
            let id = format!("call_{turn}");
            messages.push(
                json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function",
                "function": {"name": "search_orders", "arguments": arguments}}]}),
            );
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": random.result(language)}));
        } else {
            messages.push(json!({"role": "assistant", "content": random.sentences(language, 8)}));
            let more = if random.below(3) == 0 { random.result(language) } else { String::new() };
            messages.push(json!({"role": "user", "content": random.sentences(language, 4) + &more}));
        }
    }
    requests
}

/// What the provider counts: every text by its own tokenizer, six tokens round a message, the tools
/// as lines of JSON behind a paragraph of its own.
struct Provider {
    encoding: Encoding,
    counted: HashMap<String, u64>,
}

impl Provider {
    fn tokens(&mut self, text: &str) -> u64 {
        let encoding = self.encoding;
        *self.counted.entry(text.to_owned()).or_insert_with(|| count(encoding, text).tokens)
    }

    fn truth(&mut self, body: &Value) -> u64 {
        let mut sum = 5;
        for message in body["messages"].as_array().unwrap() {
            sum += 6 + message["content"].as_str().map_or(0, |text| self.tokens(text));
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                let texts = [&function["name"], &function["arguments"]];
                sum += 9 + texts.map(|text| self.tokens(text.as_str().unwrap())).iter().sum::<u64>();
            }
        }
        for tool in body["tools"].as_array().into_iter().flatten() {
            sum += 40 + self.tokens(&tool["function"].to_string());
        }
        sum
    }
}

/// Sends a request and gives what it was bounded by, in tokens.
fn send(task: &Task, body: &Value, truth: u64) -> u64 {
    let exchange = task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &Terms::default()).unwrap();
    let answer = json!({"model": body["model"], "usage": {"prompt_tokens": truth, "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": truth / 2}}});
    exchange.answered(200, &answer.to_string()).unwrap();
    u64::try_from(exchange.call().reserved().nanos() / NANOS_PER_TOKEN).unwrap()
}

fn priced() -> Arc<Config> {
    Arc::new(config_with(PRICES))
}

fn task(ledger: &Ledger) -> Task {
    ledger.task("t", [Limit::usd("1000000").unwrap()]).unwrap()
}

/// Of how many calls how many were above their bound, and how many bounds within 1.10 of the truth.
#[derive(Default)]
struct Measured {
    calls: usize,
    exceeded: usize,
    near: usize,
}

fn measured(encoding: Encoding, has_tools: bool, languages: usize, turns: [usize; 2], seed: u64) -> Measured {
    let ledger = Ledger::open("memory:", priced()).unwrap();
    let mut provider = Provider { encoding, counted: HashMap::new() };
    let mut random = Random(seed);
    let mut measured = Measured::default();
    let mut calls = 0;
    while measured.calls < CALLS {
        let task = task(&ledger);
        let language = random.below(languages);
        let turns = turns[0] + random.below(turns[1] - turns[0]);
        for body in conversation(&mut random, language, has_tools, turns) {
            let truth = provider.truth(&body);
            let bound = send(&task, &body, truth);
            calls += 1;
            if calls > 30 {
                measured.calls += 1;
                measured.exceeded += usize::from(truth > bound);
                measured.near += usize::from(bound * 10 <= truth * 11);
            }
        }
        provider.counted.clear();
    }
    measured
}

/// The bar for what is exceeded is 5 in 1,000.
fn check(encoding: Encoding, has_tools: bool, languages: usize, turns: [usize; 2], seed: u64) {
    let Measured { calls, exceeded, near } = measured(encoding, has_tools, languages, turns, seed);
    let what = format!("{encoding:?}, tools {has_tools}, {languages} languages, {turns:?} turns");
    println!("{what}: {calls} calls, {exceeded} exceeded, {} of 1,000 within 1.10", near * 1_000 / calls);
    assert!(exceeded * 1_000 <= calls * 5, "{what}: {exceeded} of {calls} exceeded");
    // 95 is the bar; docs/tokenizers.md says where it is not met.
    let least = if turns[0] < 5 { 85 } else { 93 };
    assert!(near * 100 >= calls * least, "{what}: {near} of {calls} within 1.10");
}

/// Of requests of conversations, with tools and without, in every language.
fn requests(turns: usize) -> impl Iterator<Item = Value> {
    let mut random = Random(3);
    (0..PHRASES.len()).flat_map(move |language| {
        let mut of = |has_tools| conversation(&mut random, language, has_tools, turns);
        [of(false), of(true)].concat()
    })
}

#[test]
fn a_strict_bound_is_never_exceeded() {
    let config = Config { bound: Bound::Strict, ..config_with(PRICES) };
    let ledger = Ledger::open("memory:", Arc::new(config)).unwrap();
    for encoding in [Encoding::Cl100k, Encoding::Claude3, Encoding::Claude48] {
        let mut provider = Provider { encoding, counted: HashMap::new() };
        let task = task(&ledger);
        for body in requests(20) {
            let truth = provider.truth(&body);
            assert!(send(&task, &body, truth) >= truth, "{encoding:?}: {body}");
        }
    }
}

/// By the published rule, and the tokenizer's whole text at once.
#[test]
fn an_exact_bound_is_the_count() {
    let tokens = |text: &Value| ids(Encoding::O200k, text.as_str().unwrap()).unwrap().len() as u64;
    let mut exact = 0;
    for mut body in requests(30) {
        body["model"] = "gpt-4o".into();
        let messages = body["messages"].as_array().unwrap().iter();
        let input = outlay::meter::PriceBook::bundled()
            .count_messages("gpt-4o", body.to_string().as_bytes(), 0)
            .unwrap();
        if input.method == Method::Exact {
            let truth: u64 =
                messages.map(|message| 3 + tokens(&message["role"]) + tokens(&message["content"])).sum();
            assert_eq!((input.tokens, input.bound), (truth + 3, truth + 3), "{body}");
            exact += 1;
        }
    }
    assert!(exact >= 9 * 30, "only {exact} were exact");
}

#[test]
fn learned_bounds_hold_and_are_near() {
    check(Encoding::Claude3, true, 1, [5, 60], 1);
    check(Encoding::Claude3, true, PHRASES.len(), [5, 60], 1);
}

/// The figures in docs/tokenizers.md.
#[test]
#[ignore = "takes minutes without --release"]
fn learned_bounds_hold_for_every_kind_of_conversation() {
    for turns in [[5, 60], [2, 22]] {
        for languages in [1, PHRASES.len()] {
            for encoding in [Encoding::Cl100k, Encoding::Claude3, Encoding::Claude48] {
                for (has_tools, seed) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
                    check(encoding, has_tools, languages, turns, seed);
                }
            }
        }
    }
}
