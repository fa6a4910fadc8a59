//! Is the model saying the same thing over and over? Exact repetition in a stream, byte by byte.
//!
//! A window of 32 bytes is remembered and looked for by a rolling hash. If it comes again and again at
//! one distance with the same between, that is a chant. A window that does not come again within 1,024
//! bytes is given up for the present one. What is found does not depend on how the text is cut.

/// The bytes remembered.
pub(super) const WINDOW: usize = 32;
/// The longest text that can be chanted.
const PERIOD_MAX: u32 = 1_024;
/// A chant has at least this many bytes: rulers and the borders of tables are shorter.
const BYTES_MIN: u32 = 400;
/// In code fences and tables, and where few letters are, repetition is common: it counts this much less.
const LENIENCE: u32 = 5;
const BASE: u64 = 0x0000_0100_0000_01b3;

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Chant {
    pub window: [u8; WINDOW],
    pub place: u32,
    pub seen: u32,
    pub hash: u64,
    pub anchor: u64,
    pub since: u32,
    /// A digest of what was said since the anchor, and of what was said before it.
    pub body: u64,
    pub last_body: u64,
    pub period: u32,
    pub repeats: u32,
    /// Backticks in a row.
    pub ticks: u32,
    pub fenced: bool,
    pub tabled: bool,
    /// Was anything since the anchor outside of fences and tables?
    pub spoken: bool,
    /// Was nothing of what came again?
    pub lenient: bool,
}

impl Default for Chant {
    fn default() -> Self {
        Self {
            window: [0; WINDOW],
            place: 0,
            seen: 0,
            hash: 0,
            anchor: 0,
            since: 0,
            body: 0,
            last_body: 0,
            period: 0,
            repeats: 0,
            ticks: 0,
            fenced: false,
            tabled: false,
            spoken: false,
            lenient: false,
        }
    }
}

impl Chant {
    /// Reads on; returns how often a text of how many bytes was said in a row, at the most.
    pub(super) fn read(&mut self, text: &[u8]) -> (u32, u32) {
        let mut most = (0, 0);
        for byte in text {
            self.layout(*byte);
            self.roll(*byte);
            let count = self.count();
            if count > most.0 {
                most = (count, self.period);
            }
        }
        most
    }

    fn layout(&mut self, byte: u8) {
        self.ticks = if byte == b'`' { self.ticks.saturating_add(1) } else { 0 };
        if self.ticks == 3 {
            self.fenced = !self.fenced;
        }
        let before = self.window[(self.place as usize + WINDOW - 1) % WINDOW];
        if self.seen == 0 || before == b'\n' {
            self.tabled = byte == b'|';
        }
    }

    fn roll(&mut self, byte: u8) {
        const LEAVING: u64 = {
            let (mut power, mut times) = (1_u64, 0);
            while times < WINDOW {
                power = power.wrapping_mul(BASE);
                times += 1;
            }
            power
        };
        let place = self.place as usize % WINDOW;
        let left = u64::from(std::mem::replace(&mut self.window[place], byte));
        self.place = (place as u32 + 1) % WINDOW as u32;
        let rolled = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1);
        // Nothing leaves before the window was full once.
        let leaves = if self.seen >= WINDOW as u32 { (left + 1).wrapping_mul(LEAVING) } else { 0 };
        self.hash = rolled.wrapping_sub(leaves);
        self.seen = self.seen.saturating_add(1);
        if self.seen < WINDOW as u32 {
            return;
        }
        self.spoken |= !(self.fenced || self.tabled);
        self.since = self.since.saturating_add(1);
        self.body = self.body.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1);
        if self.seen == WINDOW as u32 || self.since > PERIOD_MAX {
            (self.anchor, self.since, self.period, self.repeats) = (self.hash, 0, 0, 0);
            (self.body, self.spoken) = (0, false);
        } else if self.hash == self.anchor {
            // The window comes again in a list as well, but not all that lies between.
            let again = self.since == self.period && self.body == self.last_body;
            self.repeats = if again { self.repeats.saturating_add(1) } else { 1 };
            (self.period, self.since) = (self.since, 0);
            (self.last_body, self.body) = (self.body, 0);
            (self.lenient, self.spoken) = (!self.spoken || !self.is_worded(), false);
        }
    }

    fn count(&self) -> u32 {
        let bytes = self.repeats.saturating_mul(self.period);
        // Blank space is layout, not speech.
        if bytes < BYTES_MIN || self.window.iter().all(u8::is_ascii_whitespace) {
            return 0;
        }
        let said = self.repeats.saturating_add(1);
        if self.lenient { said / LENIENCE } else { said }
    }

    /// Are most of the bytes in the window letters?
    fn is_worded(&self) -> bool {
        let count = |is: fn(&u8) -> bool| self.window.iter().filter(|byte| is(byte)).count();
        2 * count(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
            > count(|byte| !byte.is_ascii_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(text: &str) -> (u32, u32) {
        Chant::default().read(text.as_bytes())
    }

    #[test]
    fn a_sentence_said_again_and_again_is_counted() {
        let chant = "I will now check the file again to be sure. ";
        let (count, period) = most(&chant.repeat(20));
        assert!((19..=20).contains(&count), "{count}");
        assert_eq!(period as usize, chant.len());
        let story = "Once upon a time there was a cap that nobody could pass, whatever they tried. ";
        let (count, _) = most(&format!("{story}{}", chant.repeat(60)));
        assert!(count >= 30, "{count}");
    }

    #[test]
    fn layout_is_no_chant() {
        let rows = "| 0 | 0 |\n".repeat(30);
        for text in ["-".repeat(120), " ".repeat(3_000), "=".repeat(200), format!("a\n{rows}")] {
            assert!(most(&text).0 < 10, "{text}");
        }
        let zeros = format!("```\n{}\n```", "0, 0, 0, 0, 0, 0, 0, 0,\n".repeat(40));
        assert!(most(&zeros).0 < 10);
        let items: Vec<String> =
            (0..200).map(|n| format!("{n}. the same words for every item of it")).collect();
        let list = items.join(
            "
",
        );
        assert!(most(&list).0 < 10, "{}", most(&list).0);
    }

    #[test]
    fn rows_are_no_chant_wherever_they_end() {
        let row = "    0, 0, 0, 0, 0, 0, 0, 0,\n";
        let table = "| 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |\n";
        for text in [
            format!("```c\nint a[] = {{\n{}}};\n```\nDone.\n", row.repeat(45)),
            format!("| a | b |\n|---|---|\n{}\nThat is the table you asked for.\n", table.repeat(45)),
            "0,0,0,0,0,0,0,0,0,0\n".repeat(45),
        ] {
            assert!(most(&text).0 < 10, "{text}");
        }
        let block = "Let me try:\n```python\nprint(attempt)\n```\nThat did not work.\n";
        assert!(most(&block.repeat(60)).0 >= 50);
    }

    #[test]
    fn how_the_text_is_cut_does_not_matter() {
        let text = format!("Well. {}", "Let me think about that for a moment. ".repeat(25));
        let whole = most(&text);
        for size in [1, 7, 64] {
            let mut chant = Chant::default();
            let parts = text.as_bytes().chunks(size).map(|part| chant.read(part));
            assert_eq!(parts.max(), Some(whole));
        }
    }
}
