//! How much is an image, a document or a sound, at most?
//!
//! From the first bytes of what is sent along; nothing is fetched or decoded. What does not tell its
//! size counts as the largest its model reads. The invariant: the answer is never below the
//! provider's published rule.

use base64::{Engine as _, engine::GeneralPurpose, engine::general_purpose};

/// Bytes of a file that are looked at: a JPEG may tell its size behind a preview of 64 KiB.
const HEAD_BYTES: usize = 256 << 10;
/// Seconds of sound one byte can be: no codec in use needs fewer than 8 kbit a second.
const SOUND_BYTES_PER_SECOND: u64 = 1_000;
const SOUND_TOKENS_PER_SECOND: u64 = 10;

/// How a maker turns the size of an image into tokens; published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// OpenAI: a base, and a part for each tile of 512 px of the image scaled down; or for each patch
    /// of 32 px, up to a number of them. Which one shows in the model's least and most.
    Tiles,
    /// Anthropic: a token for 750 px; we round both sides up to 28 px.
    Area,
}

/// Tokens of an image, given the least and the most of its model.
pub(super) fn image_tokens(rule: Rule, [low, most]: [u64; 2], low_detail: bool, source: &str) -> u64 {
    if low_detail && low < most {
        return low;
    }
    let Some(sides) = head(source).and_then(|head| size(&head)) else { return most };
    let (width, height) = (sides.0.clamp(1, SIDE_MAX), sides.1.clamp(1, SIDE_MAX));
    let tokens = match rule {
        Rule::Area => (width.div_ceil(28) * height.div_ceil(28) * 784).div_ceil(750),
        Rule::Tiles if low < most => low + tiles(width, height) * (most - low).div_ceil(TILES_MAX),
        Rule::Tiles => {
            let patches = width.div_ceil(32) * height.div_ceil(32);
            (patches * most).div_ceil(if most > LARGE_PATCHES_FROM { 10_000 } else { 1_536 })
        }
    };
    tokens.min(most)
}

/// A longer side is no image: every provider refuses it.
const SIDE_MAX: u64 = 1 << 16;
/// Tiles of 512 px of the largest image a model sees.
const TILES_MAX: u64 = 8;
/// Models whose images may be more tokens see up to 10,000 patches, others 1,536.
const LARGE_PATCHES_FROM: u64 = 8_000;

/// The image is first scaled down into 2,048 px, then to a shorter side of 768 px.
fn tiles(width: u64, height: u64) -> u64 {
    let (mut short, mut long) = (width.min(height), width.max(height));
    if long > 2_048 {
        (short, long) = ((short * 2_048).div_ceil(long), 2_048);
    }
    if short > 768 {
        (short, long) = (768, (long * 768).div_ceil(short));
    }
    (short.div_ceil(512) * long.div_ceil(512)).min(TILES_MAX)
}

/// Tokens of a sound sent along; a WAV tells its rate.
pub(super) fn sound_tokens(data: &str) -> u64 {
    let bytes = data.len() as u64 * 3 / 4;
    let head = head(data).unwrap_or_default();
    let is_wav = head.starts_with(b"RIFF") && head.get(8..16) == Some(b"WAVEfmt ");
    let rate = if is_wav { number(&head, 28, 4, false) } else { None };
    let rate = rate.filter(|rate| *rate >= SOUND_BYTES_PER_SECOND).unwrap_or(SOUND_BYTES_PER_SECOND);
    (bytes * SOUND_TOKENS_PER_SECOND).div_ceil(rate) + SOUND_TOKENS_PER_SECOND
}

/// The first bytes of a data URL or of bare base64; none for an address.
fn head(source: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        general_purpose::NO_PAD.with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let data = match source.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,")?.1,
        None => source,
    };
    let length = data.len().min(HEAD_BYTES / 3 * 4);
    let data = data.as_bytes().get(..if length == data.len() { length } else { length / 4 * 4 })?;
    LENIENT.decode(data).ok()
}

/// Width and height in pixels.
fn size(head: &[u8]) -> Option<(u64, u64)> {
    let at = |place, bytes, is_big| number(head, place, bytes, is_big);
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((at(16, 4, true)?, at(20, 4, true)?));
    }
    if head.starts_with(b"GIF8") {
        return Some((at(6, 2, false)?, at(8, 2, false)?));
    }
    if head.starts_with(b"RIFF") && head.get(8..12)? == b"WEBP" {
        return match head.get(12..16)? {
            b"VP8X" => Some((at(24, 3, false)? + 1, at(27, 3, false)? + 1)),
            b"VP8 " => Some((at(26, 2, false)? & 0x3FFF, at(28, 2, false)? & 0x3FFF)),
            b"VP8L" => {
                let bits = at(21, 4, false)?;
                Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
            }
            _ => None,
        };
    }
    if head.starts_with(b"\xff\xd8") { jpeg(head) } else { None }
}

/// Walks the segments up to the one that starts the frame.
fn jpeg(head: &[u8]) -> Option<(u64, u64)> {
    let mut place = 2;
    loop {
        while head.get(place)? == &0xFF && head.get(place + 1)? == &0xFF {
            place += 1;
        }
        let (start, kind) = (*head.get(place)?, *head.get(place + 1)?);
        if start != 0xFF {
            return None;
        }
        match kind {
            0xC0..=0xCF if !matches!(kind, 0xC4 | 0xC8 | 0xCC) => {
                return Some((number(head, place + 7, 2, true)?, number(head, place + 5, 2, true)?));
            }
            0x01 | 0xD0..=0xD8 => place += 2,
            _ => place += 2 + number(head, place + 2, 2, true)? as usize,
        }
    }
}

fn number(head: &[u8], place: usize, bytes: usize, is_big: bool) -> Option<u64> {
    let own = head.get(place..place + bytes)?;
    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if is_big { own.iter().fold(0, fold) } else { own.iter().rev().fold(0, fold) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GPT_4O: [u64; 2] = [85, 1_445];
    const GPT_41_MINI: [u64; 2] = [2_489, 2_489];

    fn url(bytes: &[u8]) -> String {
        format!("data:image/png;base64,{}", general_purpose::STANDARD.encode(bytes))
    }

    fn png(width: u32, height: u32) -> String {
        let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
        url(&[b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &sizes, b"\x08\x02\0\0\0"].concat())
    }

    #[test]
    fn published_examples_come_out() {
        let tiles = |width, height| image_tokens(Rule::Tiles, GPT_4O, false, &png(width, height));
        assert_eq!((tiles(1_024, 1_024), tiles(2_048, 4_096), tiles(16, 16)), (765, 1_105, 255));
        assert_eq!(image_tokens(Rule::Tiles, GPT_4O, true, &png(4_096, 8_192)), 85);
        // 1,024 patches times 1.62; and an image beyond the most patches, as it was billed.
        let patches = |width, height| image_tokens(Rule::Tiles, GPT_41_MINI, false, &png(width, height));
        assert_eq!((patches(1_024, 1_024), patches(4_000, 1_474)), (1_660, 2_489));
        let area = |width, height| image_tokens(Rule::Area, [1_700, 1_700], false, &png(width, height));
        assert!((54..=67).contains(&area(200, 200)) && (1_334..=1_430).contains(&area(1_000, 1_000)));
        assert_eq!((area(8_000, 8_000), area(u32::MAX, u32::MAX)), (1_700, 1_700));
    }

    #[test]
    fn every_kind_of_file_tells_its_size() {
        let le = |n: u16| n.to_le_bytes();
        let webp = |kind: &[u8], rest: &[u8]| [b"RIFF\0\0\0\0WEBP", kind, b"\0\0\0\0", rest].concat();
        let bits = (0x027F_u32 | 0x01DF << 14).to_le_bytes();
        let exif = [b"\xff\xd8\xff\xe1\x00\x08Exif\0\0".as_slice(), b"\xff\xc4\0\x02\xff\xff"].concat();
        for file in [
            [b"GIF89a".as_slice(), &le(640), &le(480)].concat(),
            webp(b"VP8X", b"\0\0\0\0\x7f\x02\0\xdf\x01\0"),
            webp(b"VP8 ", &[b"\0\0\0\x9d\x01\x2a".as_slice(), &le(640), &le(480)].concat()),
            webp(b"VP8L", &[b"\x2f".as_slice(), &bits].concat()),
            [&*exif, b"\xff\xc2\0\x11\x08\x01\xe0\x02\x80"].concat(),
        ] {
            assert_eq!(size(&file), Some((640, 480)), "{file:x?}");
            assert_eq!(head(&url(&file)).unwrap(), file);
        }
    }

    #[test]
    fn what_does_not_tell_its_size_is_the_largest() {
        for source in
            ["https://example.com/a.png", "", "data:image/png,x", "data:image/png;base64,AAAA", "ÿØÿ"]
        {
            assert_eq!(image_tokens(Rule::Tiles, GPT_4O, false, source), 1_445, "{source}");
        }
    }

    #[test]
    fn a_sound_is_bounded_by_its_rate() {
        // A second of 24,000 samples of two bytes.
        let head =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x80\xbb\0\0";
        let wav = general_purpose::STANDARD.encode([head.as_slice(), &vec![0; 48_000]].concat());
        assert!((20..=22).contains(&sound_tokens(&wav)));
        let other = general_purpose::STANDARD.encode(vec![1; 48_000]);
        assert_eq!(sound_tokens(&other), 490);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_file_makes_it_fail(
            kind in prop::sample::select(vec![
                b"\xff\xd8".as_slice(), b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF\0\0\0\0WEBPVP8L", b"",
            ]),
            rest in prop::collection::vec(prop_oneof![Just(0xFF_u8), any::<u8>()], 0..200),
        ) {
            let source = url(&[kind, &rest].concat());
            let tokens = image_tokens(Rule::Tiles, GPT_4O, false, &source);
            prop_assert!((85..=1_445).contains(&tokens));
            prop_assert!(image_tokens(Rule::Area, [1_700, 1_700], false, &source) <= 1_700);
            prop_assert!(sound_tokens(&source) >= 10);
        }
    }
}
