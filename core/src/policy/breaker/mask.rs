//! Do two results say the same? What differs at every call although nothing changed is masked.
//!
//! Masked are times of day with seconds, durations (not of what remains: that is progress), addresses,
//! UUIDs, digests and random ids, temporary names, process ids and ephemeral ports, and what stands behind
//! a label such as `elapsed`, or `request_id` if it looks random. Kept are plain numbers and dates: they
//! are mostly what the result is about. A result that is nothing but such a value is kept too.

use memchr::memmem;

/// Longer texts are masked at both ends; their middle counts as it is.
const MASKED_MAX: usize = 64 * 1024;

/// Where the masked text goes: plain pieces, with a mask between every two.
pub(super) trait Sink {
    fn plain(&mut self, piece: &[u8]);
    fn mask(&mut self, covered: &[u8]);
}

/// Sends the masked text to `sink`; says whether anything but masks and punctuation is in it.
pub(super) fn masked(text: &str, sink: &mut impl Sink) -> bool {
    let text = text.trim_ascii().as_bytes();
    if text.len() <= MASKED_MAX {
        return piece(text, sink);
    }
    let (head, rest) = text.split_at(MASKED_MAX / 2);
    let (middle, tail) = rest.split_at(rest.len() - MASKED_MAX / 2);
    let told = piece(head, sink);
    sink.plain(middle);
    piece(tail, sink) || told || !middle.is_empty()
}

fn piece(text: &[u8], sink: &mut impl Sink) -> bool {
    // A stamp before an empty line is no value.
    let (mut plain, mut told) = (0, text.starts_with(b"[2"));
    let (mut digit, mut name) = (next_digit(text, 0), temporary(text, 0));
    loop {
        let (found, volatile) = match (digit, name) {
            (digit, Some(span)) if digit.is_none_or(|digit| span.0 <= digit) => (span.0, Some(span)),
            (Some(digit), _) => {
                (digit, volatile(text, word_start(text, digit, plain), word_end(text, digit)))
            }
            (None, _) => break,
        };
        let at = match volatile.filter(|(from, _)| *from >= plain) {
            Some((from, to)) => {
                told = told || text[plain..from].iter().any(u8::is_ascii_alphanumeric);
                sink.plain(&text[plain..from]);
                sink.mask(&text[from..to]);
                plain = to;
                to
            }
            None => word_end(text, found),
        };
        if digit.is_some_and(|digit| digit < at) {
            digit = next_digit(text, at);
        }
        if name.is_some_and(|(from, _)| from < at) {
            name = temporary(text, at);
        }
    }
    let rest = &text[plain..];
    sink.plain(rest);
    told || rest.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

fn next_digit(text: &[u8], from: usize) -> Option<usize> {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let rest = text.get(from..)?;
    let (words, tail) = rest.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        // Eight bytes at once: of a digit, xor leaves 0 to 9, and adding 118 to that sets no high bit.
        let word = u64::from_le_bytes(*word) ^ 0x3030_3030_3030_3030;
        let others = ((word & LOW) + 0x7676_7676_7676_7676) | word;
        if !others & !LOW != 0 {
            return Some(from + 8 * place + ((!others & !LOW).trailing_zeros() / 8) as usize);
        }
    }
    tail.iter().position(u8::is_ascii_digit).map(|place| from + 8 * words.len() + place)
}

/// The next name as `mktemp` and its like draw them: what follows upon `tmp`.
fn temporary(text: &[u8], from: usize) -> Option<(usize, usize)> {
    const DRAWN_MIN: usize = 6;
    let begins = |at: &usize| !text[..*at].last().is_some_and(u8::is_ascii_alphanumeric);
    let mut found = memmem::find_iter(text.get(from..)?, b"tmp").map(|at| from + at).filter(begins);
    found.find_map(|at| {
        let drawn = one_of(text, at + 3, b".").unwrap_or(at + 3);
        let is_drawn = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let end = drawn + text[drawn..].iter().take_while(is_drawn).count();
        (end - drawn >= DRAWN_MIN).then_some((drawn, end))
    })
}

fn word_start(text: &[u8], at: usize, floor: usize) -> usize {
    let back = text[floor..at].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    at - back
}

fn word_end(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// The span to mask, if the word from `start` to `end` belongs to something volatile.
fn volatile(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let next = text.get(end).copied().unwrap_or_default();
    let uuid =
        if next == b'-' || text[..start].ends_with(b"-") { uuid_round(text, start, end) } else { None };
    if let Some(from) = uuid {
        return Some((from, from + 36));
    }
    let moment = match (end - start, next) {
        (4, b'-' | b'/') => moment(text, start),
        (1 | 2, b':') => clock(text, start, end),
        (15.., _) => compact(text, start),
        _ => None,
    };
    let counted = || duration(text, start).or_else(|| epoch(text, start, end));
    if let Some(to) = moment.or_else(counted) {
        return Some((start, to));
    }
    let word = &text[start..end];
    let joined = text[..start].last().is_some_and(|byte| matches!(byte, b'_' | b'-' | b'='));
    if is_address(word) || (is_random(word, joined) && !text[..start].ends_with("…".as_bytes())) {
        // A digest between ellipses stands for what was cut out there: it is content.
        return Some((start, end));
    }
    let goes_on = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(byte);
    let all = || start + text[start..].iter().take_while(goes_on).count();
    let behind_label = || match Named::of(label(text, start)) {
        Some(Named::Id) => is_drawn(&text[start..all()]),
        named => named.is_some() || is_process_id(text, start),
    };
    let labelled = (may_be_labelled(text, start) && behind_label()) || is_time(text, start, end);
    if labelled {
        return Some((start, all()));
    }
    (is_tagged(text, start, end) || is_ephemeral(text, start, end)).then_some((start, end))
}

/// A time in seconds looks like any other number: its label has to say so.
fn is_time(text: &[u8], start: usize, end: usize) -> bool {
    let label = || label(text, start).to_ascii_lowercase();
    let is_moment = |label: Vec<u8>| {
        let ends: [&[u8]; 5] = [b"time", b"_at", b"created", b"updated", b"modified"];
        ends.into_iter().any(|end| label.ends_with(end))
    };
    end - start == 10 && digits(text, start, 10).is_some() && is_moment(label())
}

/// The process of a line in a log: `nginx[3001]: `.
fn is_tagged(text: &[u8], start: usize, end: usize) -> bool {
    let name = text[..start].strip_suffix(b"[").and_then(<[u8]>::last);
    name.is_some_and(u8::is_ascii_alphanumeric)
        && text[end..].starts_with(b"]:")
        && end - start >= 3
        && digits(text, start, end - start).is_some()
}

/// A port that the system chose: behind an address or the word.
fn is_ephemeral(text: &[u8], start: usize, end: usize) -> bool {
    let is_port = || (b"32768".as_slice()..=b"65535".as_slice()).contains(&&text[start..end]);
    let is_behind = || {
        let address = text[..start].strip_suffix(b":").and_then(<[u8]>::last);
        address.is_some_and(u8::is_ascii_digit) || label(text, start).eq_ignore_ascii_case(b"port")
    };
    end - start == 5 && is_port() && digits(text, start, 5).is_some() && is_behind()
}

fn uuid_round(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if !matches!(end - start, 4 | 8 | 12) {
        return None;
    }
    let is_uuid = |from: &usize| {
        let groups = text.get(*from..*from + 36);
        groups.is_some_and(|all| {
            let fits = |(place, byte): (usize, &u8)| match place {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            };
            all.iter().enumerate().all(fits)
        })
    };
    [0, 9, 14, 19, 24].iter().filter_map(|back| start.checked_sub(*back)).find(is_uuid)
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<usize> {
    let all = text.get(at..at + count)?;
    all.iter().all(u8::is_ascii_digit).then_some(at + count)
}

fn one_of(text: &[u8], at: usize, allowed: &[u8]) -> Option<usize> {
    text.get(at).filter(|byte| allowed.contains(byte)).map(|_| at + 1)
}

fn fraction(text: &[u8], at: usize) -> usize {
    let Some(from) = one_of(text, at, b".,") else { return at };
    match text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => at,
        count => from + count,
    }
}

/// A date with a time of day to the second: 2026-11-22T04:08:33.5Z and the like.
fn moment(text: &[u8], start: usize) -> Option<usize> {
    let month = one_of(text, digits(text, start, 4)?, b"-/")?;
    let day = one_of(text, digits(text, month, 2)?, b"-/")?;
    let hour = one_of(text, digits(text, day, 2)?, b"T ")?;
    let minute = digits(text, one_of(text, digits(text, hour, 2)?, b":")?, 2)?;
    let second = digits(text, one_of(text, minute, b":")?, 2)?;
    Some(zone(text, fraction(text, second)))
}

/// The same without separators: 20261122T040833Z.
fn compact(text: &[u8], start: usize) -> Option<usize> {
    let time = one_of(text, digits(text, start, 8)?, b"T")?;
    Some(zone(text, fraction(text, digits(text, time, 6)?)))
}

/// A time of day, or since the start, with seconds.
fn clock(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let minute = one_of(text, digits(text, start, end - start)?, b":")?;
    let second = one_of(text, digits(text, minute, 2)?, b":")?;
    let end = digits(text, second, 2)?;
    Some(zone(text, fraction(text, end)))
}

fn zone(text: &[u8], at: usize) -> usize {
    if let Some(end) = one_of(text, at, b"Z") {
        return end;
    }
    let hours = one_of(text, at, b"+-").and_then(|hour| digits(text, hour, 2));
    let Some(hours) = hours else { return at };
    digits(text, one_of(text, hours, b":").unwrap_or(hours), 2).unwrap_or(at)
}

/// Numbers with units of time: `12ms`, `0.45 s`, `3 seconds`, `1m3.2s`.
fn duration(text: &[u8], start: usize) -> Option<usize> {
    const PARTS_MAX: usize = 4;
    let (mut at, mut end, mut is_sure) = (start, None, false);
    for _ in 0..PARTS_MAX {
        let Some((stop, unit)) = amount(text, at) else { break };
        // Alone these may stand for something else.
        is_sure |= !matches!(unit, b"m" | b"d");
        end = Some(stop);
        at = one_of(text, stop, b" ").unwrap_or(stop);
    }
    let end = end.filter(|_| is_sure)?;
    let goes_on = text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on && !is_left(text, start, end)).then_some(end)
}

/// A number with its unit: where it ends, and the unit.
fn amount(text: &[u8], start: usize) -> Option<(usize, &[u8])> {
    let number = start + text.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if number == start {
        return None;
    }
    let number = fraction(text, number);
    let from = one_of(text, number, b" ").unwrap_or(number);
    let is_micro = text.get(from) == Some(&0xc2) && text.get(from + 1) == Some(&0xb5);
    let micro = if is_micro { 2 } else { 0 };
    let letters = text[from + micro..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let unit = &text[from..from + micro + letters];
    // Patterns, not a list that is walked: this is asked of every number in every result.
    let is_unit = matches!(
        unit,
        b"ns"
            | b"us"
            | b"\xc2\xb5s"
            | b"ms"
            | b"msec"
            | b"msecs"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"m"
            | b"min"
            | b"mins"
            | b"minutes"
            | b"h"
            | b"hours"
            | b"d"
            | b"days"
    );
    is_unit.then_some((from + unit.len(), unit))
}

/// Does it say how much is still to come?
fn is_left(text: &[u8], start: usize, end: usize) -> bool {
    let behind = text[end..].trim_ascii_start();
    let before = label(text, start).to_ascii_lowercase();
    [b"remaining".as_slice(), b"left", b"to go"].into_iter().any(|word| behind.starts_with(word))
        || [b"remaining".as_slice(), b"left", b"eta"].into_iter().any(|word| before.ends_with(word))
}

/// Seconds since 1970 with a fraction, or smaller units, between 2017 and 2039.
fn epoch(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let seconds = digits(text, start, 10)?;
    let lead = &text[start..start + 2];
    let recent = (b"15".as_slice()..=b"21".as_slice()).contains(&lead);
    let whole = match end - start {
        10 => fraction(text, seconds),
        13 | 16 | 19 => digits(text, start, end - start)?,
        _ => return None,
    };
    (recent && whole > seconds).then_some(whole)
}

fn is_address(word: &[u8]) -> bool {
    let hex = word.strip_prefix(b"0x");
    hex.is_some_and(|hex| hex.len() >= 6 && hex.iter().all(u8::is_ascii_hexdigit))
}

/// A digest or a random id by the look of it; behind a name (`call_3fa9c1`) shorter ones are.
fn is_random(word: &[u8], joined: bool) -> bool {
    if word.len() < if joined { 6 } else { 7 } {
        return false;
    }
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = word.len() - digits;
    let hex = word.iter().all(u8::is_ascii_hexdigit);
    (hex && digits > 0 && letters > 0) || (word.len() >= 16 && digits >= 3 && letters >= 3)
}

/// How much stands between a label and its value.
fn gap(text: &[u8], start: usize) -> usize {
    text[..start].iter().rev().take(4).take_while(|byte| b"\"' :=#-_".contains(byte)).count()
}

/// Could the label before it be that of a volatile value? Most are not by their last two letters, and this
/// is asked of every number in every result.
fn may_be_labelled(text: &[u8], start: usize) -> bool {
    let gap = gap(text, start);
    let ends = text[..start - gap].last_chunk::<2>();
    let is_end = |ends: &[u8; 2]| {
        let ends = ends.map(|byte| byte.to_ascii_lowercase());
        matches!(&ends, b"ts" | b"mp" | b"ce" | b"id" | b"eq" | b"ag" | b"ed" | b"ms" | b"ok" | b"at")
            || matches!(&ends, b"ss" | b"st" | b"ad")
            || ends.iter().any(|byte| matches!(byte, b'_' | b'-'))
    };
    gap > 0 && ends.is_some_and(is_end)
}

/// The label before it, as in `request_id: 7`, `pid=7` or `req-7`; may be empty.
fn label(text: &[u8], start: usize) -> &[u8] {
    let gap = gap(text, start);
    let end = start - gap;
    let in_label = |byte: &&u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    let length = text[..end].iter().rev().take(24).take_while(in_label).count();
    if gap > 0 { &text[end - length..end] } else { b"" }
}

/// `Process ID: 7`: a label of two words.
fn is_process_id(text: &[u8], start: usize) -> bool {
    let before = text[..start - gap(text, start)].last_chunk::<10>();
    before.is_some_and(|before| before.eq_ignore_ascii_case(b"process id"))
}

/// Is this drawn at random by the look of it, rather than counted? `8f3a9b2c` and 71402 are, `REQ-12` is not.
pub(super) fn is_drawn(id: &[u8]) -> bool {
    let core = id.rsplit(|byte| !byte.is_ascii_alphanumeric()).find(|part| !part.is_empty());
    let core = core.unwrap_or_default();
    let is_number = core.iter().all(u8::is_ascii_digit);
    let is_hex = || core.iter().all(u8::is_ascii_hexdigit) && core.iter().any(u8::is_ascii_digit);
    let is_mixed = || core.windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic());
    core.len() >= 16 || (core.len() >= 6 && (is_hex() || is_mixed())) || (core.len() == 5 && is_number)
}

/// What a field is by its name, if its value differs at every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// Never what a call is about.
    Nonce,
    /// When, or how long.
    Time,
    /// Which of many, drawn at random or counted.
    Id,
    /// Which process; in arguments that is the thing that is meant.
    Process,
}

impl Named {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let mut plain = [0_u8; 20];
        let mut length = 0;
        for byte in name.iter().filter(|byte| !matches!(byte, b'_' | b'-')) {
            *plain.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        Some(match &plain[..length] {
            b"ts" | b"nonce" | b"idempotencykey" | b"clientrequestid" => Self::Nonce,
            b"timestamp" | b"requestedat" | b"generatedat" | b"etag" | b"elapsed" | b"elapsedms"
            | b"durationms" | b"tookms" | b"took" => Self::Time,
            b"requestid" | b"reqid" | b"req" | b"traceid" | b"trace" | b"spanid" | b"callid"
            | b"toolcallid" | b"correlationid" | b"invocationid" | b"sessionid" => Self::Id,
            b"pid" | b"process" | b"thread" | b"pytest" => Self::Process,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shown(Vec<u8>);

    impl Sink for Shown {
        fn plain(&mut self, piece: &[u8]) {
            self.0.extend_from_slice(piece);
        }

        fn mask(&mut self, _: &[u8]) {
            self.0.push(b'*');
        }
    }

    fn shown(text: &str) -> String {
        let mut sink = Shown::default();
        masked(text, &mut sink);
        String::from_utf8(sink.0).expect("masks end where characters end")
    }

    #[test]
    fn what_differs_at_every_call_is_masked() {
        for (text, wanted) in [
            ("at 2026-11-22T04:08:33.123Z done", "at * done"),
            ("2026-11-22 04:08:33+01:00 INFO ready", "* INFO ready"),
            ("04:08:33,512 ready", "* ready"),
            ("ran 3 tests in 0.45s", "ran 3 tests in *"),
            ("took 12 ms, 3 seconds", "took *, *"),
            ("<object at 0x7f3a9c001d30>", "<object at *>"),
            ("id 123e4567-e89b-12d3-a456-426614174000.", "id *."),
            ("id abcdefab-1234-12d3-a456-426614174000!", "id *!"),
            ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit *"),
            (r#"{"request_id": "r1f7a20", "status": "ok"}"#, r#"{"request_id": "*", "status": "ok"}"#),
            ("pid=4711 ready", "pid=* ready"),
            ("up since 1763784513.25", "up since *"),
            ("ms 1763784513250 x", "ms * x"),
            ("chatcmpl-9aBcD3fGh1JkLmN0pQ", "chatcmpl-*"),
            ("call_3fa9c1 done", "call_* done"),
            ("run=8f3a2b at 20261122T040833Z", "run=* at *"),
            ("server_time: 1763784513", "server_time: *"),
            (r#"{"created": 1763784513}"#, r#"{"created": *}"#),
            ("us 1763784513000017 x", "us * x"),
            ("real 1m3.2s, up 1m 3s, 2 hours", "real *, up *, *"),
            ("took 7µs", "took *"),
            ("elapsed (0:00:04)", "elapsed (*)"),
            ("11/22/2026, 9:05:14 AM x", "11/22/2026, * AM x"),
            ("worker[123]: died", "worker[*]: died"),
            ("Process 3012 exited, Process ID: 3012", "Process * exited, Process ID: *"),
            ("Thread-7 failed", "Thread-* failed"),
            ("127.0.0.1:43210 refused, port 51234", "127.0.0.1:* refused, port *"),
            ("HEAD is now at 1a2b3c4 fix", "HEAD is now at * fix"),
            ("in /tmp/tmpab12cd_x/a", "in /tmp/tmp*/a"),
            ("in /tmp/tmpabcdefgh", "in /tmp/tmp*"),
            ("in /tmp/tmp.Xy12AbCdEf and 3s", "in /tmp/tmp.* and *"),
            ("/tmp/pytest-of-root/pytest-12/test_x0", "/tmp/pytest-of-root/pytest-*/test_x0"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn what_the_result_is_about_is_kept() {
        for text in [
            "order #W5918442, 3 items, 1679 USD",
            "2024-05-21 HAT277 at 14:30",
            "departs 2024-05-21 14:30",
            "42% done",
            "item 1763784513",
            "gift_card_3481935",
            "face8d",
            "x = 0x1f",
            "kept …78e45d682c55… kept",
            "v1.2.3 on port 8080",
            "5 minute walk",
            "copying, 120 s remaining",
            "ETA: 50s",
            "1m 3s left",
            "processed req-7",
            r#"{"request_id": 3}"#,
            "5m of rope",
            "listening on 127.0.0.1:8080",
            "a[3]: ok",
            "mount /tmp/tmpfs",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_is_drawn_is_told_from_what_is_counted() {
        for id in ["8f3a9b2c", "71402", "req_3fa9c1", "48b8-a2aa-cf5637355740", "aZ7kQp", "abcdefghijklmnopq"]
        {
            assert!(is_drawn(id.as_bytes()), "{id}");
        }
        for id in ["REQ-12", "7", "order12", "s5", "", "r1f7", "session-1234"] {
            assert!(!is_drawn(id.as_bytes()), "{id}");
        }
    }

    #[test]
    fn a_result_that_is_only_a_volatile_value_tells_nothing_else() {
        let mut sink = Shown::default();
        assert!(masked("[2026-11-22 10:00:01] ", &mut sink));
        assert!(!masked(" 123e4567-e89b-12d3-a456-426614174000\n", &mut sink));
        assert!(masked("id 123e4567-e89b-12d3-a456-426614174000", &mut sink));
        assert!(masked("déjà", &mut sink));
    }
}
