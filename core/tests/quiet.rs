//! Is any vocabulary loaded while a fork is on its way?
//!
//! In a process of its own: what was counted before would be loaded already.

use std::{thread, time::Duration};

use outlay::meter::tokens::{Encoding, count, quiet};

const ENCODINGS: [Encoding; 8] = [
    Encoding::O200k,
    Encoding::Cl100k,
    Encoding::DeepSeek,
    Encoding::Qwen,
    Encoding::Tekken,
    Encoding::Claude3,
    Encoding::Claude47,
    Encoding::Claude48,
];

#[test]
fn no_vocabulary_is_loaded_in_a_quiet_moment_and_all_are_after_it() {
    let loading = {
        let _quiet = quiet();
        let loading = ENCODINGS.map(|encoding| thread::spawn(move || count(encoding, "hello").tokens));
        // Far longer than the slowest load takes.
        thread::sleep(Duration::from_secs(1));
        assert!(loading.iter().all(|thread| !thread.is_finished()));
        loading
    };
    for (encoding, thread) in ENCODINGS.into_iter().zip(loading) {
        assert!((1..=3).contains(&thread.join().unwrap()), "{encoding:?}");
    }
    let _quiet = quiet();
    for encoding in ENCODINGS {
        assert!(count(encoding, "hello again").tokens > 1, "what is loaded counts on: {encoding:?}");
    }
}
