//! Does any text break what reads names, numbers and tokens?
#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay::{
    Id, Ledger, Money, Tags, Window,
    meter::{
        PriceBook,
        tokens::{Encoding, count},
    },
    run::{Config, config::Choices},
};

fuzz_target!(|input: &[u8]| {
    let text = &*String::from_utf8_lossy(input);
    for encoding in [Encoding::O200k, Encoding::Cl100k] {
        let tokens = count(encoding, text).tokens;
        // A token is at least a byte, and not even the longest is a thousand.
        assert!(tokens as usize <= text.len() && text.len() <= tokens as usize * 1_000, "{tokens}");
    }
    if let Ok(price) = PriceBook::bundled().find(None, text, 0) {
        assert!(!price.model.is_empty());
    }
    if let Ok(money) = Money::parse(text) {
        assert_eq!(Money::parse(&money.decimal()).unwrap(), money);
    }
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string().parse::<Id>().unwrap(), id);
    }
    if let Ok(window) = Window::parse(text, None) {
        assert_eq!(Window::parse(&window.to_string(), None).unwrap(), window);
        let slot = window.slot(1_795_348_800_000);
        assert!(slot.start < slot.end);
    }
    let _ = Window::parse("day", Some(text));
    let _ = Tags::new().set("tenant", text);
    if let Ok(store) = Ledger::canonical(text) {
        assert_eq!(Ledger::canonical(&store).unwrap(), store);
    }
    let choices = Choices::from_json(text).or_else(|_| Choices::from_toml(text));
    let _ = choices.and_then(|choices| Config::default().with(&choices));
});
