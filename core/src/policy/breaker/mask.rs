//! Do two results say the same? What differs at every call although nothing changed is masked.
//!
//! Masked are times of day with seconds, durations, addresses, UUIDs, digests and random ids, process
//! ids, and whatever stands behind a label such as `request_id`. Kept are plain numbers and dates:
//! they are mostly what the result is about. A result that is nothing but such a value is kept too.

/// Longer texts are masked at both ends; their middle counts as it is.
const MASKED_MAX: usize = 64 * 1024;

/// Where the masked text goes: plain pieces, with a mask between every two.
pub(super) trait Sink {
    fn plain(&mut self, piece: &[u8]);
    fn mask(&mut self);
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
    let (mut plain, mut at, mut told) = (0, 0, false);
    while let Some(digit) = next_digit(text, at) {
        let start = word_start(text, digit, plain);
        let end = word_end(text, digit);
        match volatile(text, start, end) {
            Some((from, to)) if from >= plain => {
                told = told || text[plain..from].iter().any(u8::is_ascii_alphanumeric);
                sink.plain(&text[plain..from]);
                sink.mask();
                (plain, at) = (to, to);
            }
            _ => at = end,
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
        (2, b':') => clock(text, start),
        (15.., _) => compact(text, start),
        _ => None,
    };
    let counted = || duration(text, start, end).or_else(|| epoch(text, start, end));
    if let Some(to) = moment.or_else(counted) {
        return Some((start, to));
    }
    let word = &text[start..end];
    let joined = text[..start].last().is_some_and(|byte| matches!(byte, b'_' | b'-' | b'='));
    if is_address(word) || (is_random(word, joined) && !text[..start].ends_with("…".as_bytes())) {
        // A digest between ellipses stands for what was cut out there: it is content.
        return Some((start, end));
    }
    // A time in seconds looks like any other number: its label has to say so.
    let is_time =
        || digits(text, start, 10) == Some(end) && label(text, start).to_ascii_lowercase().ends_with(b"time");
    let behind_label = (may_be_labelled(text, start) && is_volatile_name(label(text, start))) || is_time();
    let goes_on = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(byte);
    behind_label.then(|| (start, start + text[start..].iter().take_while(goes_on).count()))
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

/// A time of day with seconds.
fn clock(text: &[u8], start: usize) -> Option<usize> {
    let minute = one_of(text, digits(text, start, 2)?, b":")?;
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

/// A number with a unit of time: `12ms`, `0.45 s`, `3 seconds`.
fn duration(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let number = start + text[start..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if number == start {
        return None;
    }
    let number = fraction(text, number);
    let unit = one_of(text, number, b" ").unwrap_or(number);
    let stop = word_end(text, unit);
    // Patterns, not a list that is walked: this is asked of every number in every result.
    let is_unit = matches!(
        text.get(unit..stop)?,
        b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"msec"
            | b"msecs"
            | b"min"
            | b"mins"
            | b"minutes"
    );
    is_unit.then_some(stop)
}

/// Seconds since 1970 with a fraction, or milliseconds, between 2017 and 2039.
fn epoch(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let seconds = digits(text, start, 10)?;
    let lead = &text[start..start + 2];
    let recent = (b"15".as_slice()..=b"21".as_slice()).contains(&lead);
    let whole = match end - start {
        10 => fraction(text, seconds),
        13 => digits(text, start, 13)?,
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
    if word.len() < if joined { 6 } else { 8 } {
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

/// The names of fields whose values differ at every call.
pub(super) fn is_volatile_name(name: &[u8]) -> bool {
    let mut plain = [0_u8; 20];
    let mut length = 0;
    for byte in name.iter().filter(|byte| !matches!(byte, b'_' | b'-')) {
        let Some(place) = plain.get_mut(length) else { return false };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    matches!(
        &plain[..length],
        b"ts"
            | b"timestamp"
            | b"nonce"
            | b"requestid"
            | b"reqid"
            | b"req"
            | b"traceid"
            | b"trace"
            | b"spanid"
            | b"callid"
            | b"toolcallid"
            | b"correlationid"
            | b"idempotencykey"
            | b"clientrequestid"
            | b"invocationid"
            | b"sessionid"
            | b"etag"
            | b"pid"
            | b"elapsed"
            | b"elapsedms"
            | b"durationms"
            | b"tookms"
            | b"took"
            | b"requestedat"
            | b"generatedat"
    )
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

        fn mask(&mut self) {
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
            (r#"{"request_id": "r17", "status": "ok"}"#, r#"{"request_id": "*", "status": "ok"}"#),
            ("pid=4711 ready", "pid=* ready"),
            ("up since 1763784513.25", "up since *"),
            ("ms 1763784513250 x", "ms * x"),
            ("chatcmpl-9aBcD3fGh1JkLmN0pQ", "chatcmpl-*"),
            ("call_3fa9c1 done", "call_* done"),
            ("run=8f3a2b at 20261122T040833Z", "run=* at *"),
            ("server_time: 1763784513", "server_time: *"),
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
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_result_that_is_only_a_volatile_value_tells_nothing_else() {
        let mut sink = Shown::default();
        assert!(!masked(" 123e4567-e89b-12d3-a456-426614174000\n", &mut sink));
        assert!(masked("id 123e4567-e89b-12d3-a456-426614174000", &mut sink));
        assert!(masked("déjà", &mut sink));
    }
}
