"""Writes what `meter::tokens` needs to count Claude's tokens, from the PyPI package `ctok`.

    python3.13 -m venv v && v/bin/pip install ctok==1.3.0 && v/bin/python core/vocab/claude.py

Python 3.13, because the characters' classes follow its edition of Unicode. Writes, beside itself:

* `claude3.pieces`, `claude47.pieces`: the pieces and byte prefixes in order, each as the length of
  what it shares with the one before, the length of the rest, the rest. Markers are the bytes 0xF8
  to 0xFB, which no text holds.
* `claude.classes`: runs of the first 65,536 characters that behave alike, each as its first
  character in two bytes and a byte of traits; all others behave like emoji.
* `../../tests/vectors/claude_tokens.json`: texts, and their counts as the package gives them.

`--probes` instead prints every probe the package's data carries, with the count the provider gave;
`--texts FOLDER…` stretches of the files in those folders, with the package's own counts.
"""

from __future__ import annotations

import json
import random
import sys
import unicodedata
from pathlib import Path

from ctok import main, token_count
from ctok.constants import BOW_G, CAPS_G, DIGIT, EOW_G, HARD, PUNCT, SHIFT_G, SPACE, WORDY
from ctok.normalize import _NEW_CASED, _digit_border, _marks_like_punct, _stray_mark, classify

HERE = Path(__file__).parent
FAMILIES = {"claude3.pieces": "v3", "claude47.pieces": "v4.7"}
VERSIONS = {"claude3": "3.0", "claude47": "4.7", "claude48": "4.8"}
MARKERS = {BOW_G: b"\xf8", EOW_G: b"\xf9", SHIFT_G: b"\xfa", CAPS_G: b"\xfb"}
CLASSES = (HARD, WORDY, DIGIT, PUNCT, SPACE)


def in_bytes(piece: str) -> bytes:
    return b"".join(MARKERS.get(char) or char.encode() for char in piece)


def pieces(family: str) -> bytes:
    model = main._model(family)
    every = {in_bytes(piece) for piece in model.vocab}
    every |= {bytes.fromhex(prefix) for prefix in model.bytes.tokens}
    for piece in every:  # what the engine relies on
        body = piece.lstrip(b"\xfa\xfb").removeprefix(b"\xf8").removesuffix(b"\xf9")
        assert not set(body) & set(b"\xf8\xf9\xfa\xfb") and len(piece) <= 128, piece
        assert len(piece) == 1 or not 0x80 <= piece[0] < 0xC0, piece
    out, before = bytearray(), b""
    for piece in sorted(every - {bytes([byte]) for byte in range(256)}):
        same = 0
        while before[same : same + 1] == piece[same : same + 1] != b"":
            same += 1
        out += bytes([same, len(piece) - same]) + piece[same:]
        before = piece
    return bytes(out)


def traits(char: str) -> int:
    category = unicodedata.category(char)
    kind = CLASSES.index(classify(char))
    if kind == 1 and unicodedata.normalize("NFC", char) == char and not _marks_like_punct(char):
        kind = 5  # a letter that stays one, whatever ASCII comes after it
    return (
        kind
        | bool(_stray_mark(char)) << 3
        | bool(_marks_like_punct(char)) << 4
        | _digit_border(char) << 5
        | (category == "No") << 6
        | (char in _NEW_CASED or category[0] in "LM") << 7
    )


def classes() -> bytes:
    out, before = bytearray(), None
    for code in range(0x10000):
        surrogate = 0xD800 <= code <= 0xDFFF
        now = before if surrogate else traits(chr(code))
        if now != before:
            out += code.to_bytes(2, "little") + bytes([now])
            before = now
    return bytes(out)


def texts() -> list[str]:
    """Every class of character beside every other, and real text of many kinds."""
    draw = random.Random(4)
    plain = [
        "", " ", "\n", "a", " a", "  a", "hello, world", "NASA likes tokenizers",
        "it's x'S they'll 'tis",
        "I'D DON'T 'First ('quoted') a 'b", "GaN WiFi QQ HTTPServer ABC ABCD İstanbul STRAẞE ΣΑΣ",
        "def f(x):\n    return {'a': [1, 2.5e-3]}\n\n\n", '{"name": "get_weather", "n": 12345678}',
        "価格は１２３円です。「東京」、々〆〇", "한국어 문장입니다. 가나다",
        "Привет, мир! ΕΛΛΗΝΙΚΆ κείμενο",
        "مرحبا ١٢٣ بالعالم، نعم", "สวัสดีครับ ํา กำ", "नमस्ते दुनिया १२३।", "שָׁלוֹם עולם",
        "ܫܠܡܐ ܐܰ ܰܐ", "e\u0301 ñ a\u0308\u0323 \u0301x 1\u0301 漢\u0301", "👩‍👩‍👧‍👦 🇩🇪 ❤️ ⚖️ x️",
        "tabs\t\tand\r\nlines\r\n\r\n\u00a0\u2003\u3000end",
        "a\x01b\x00c \x02 d\ue000e \ue001 f\u0085g",
        "“curly” ‘quotes’ „low“ — – … • ½ ² ①② Ⅷ ⅷ Ⓐ ª º", "\ufdd0\ufdd1 x\ufdd3y \ufffe\uffff",
        "-" * 100, "=" * 65, "." * 130, " " * 70 + "x", "\n" * 30,
        "x" + "\n" * 27, "x" + "\n" * 40, "\t" * 9,
        "ヲBUTTヲ းUNDPA ーヶ ひらがなカタカナ漢字",
        "ʰᵃ ϴ ϓ ℂ ℳ ǅ ǆ Ǆ ᲊ Ᲊ Ɤ ɤ", "1。？ 1 1 ？。1 文？ （a）",
    ]  # fmt: skip
    alphabet = (
        "abcXYZéßкШλΣ 0129  \n\n\t.,'\"-(){}<>=_/\\"
        "’“—…•（），。、々漢字ひカー한글اب١सं्ܐܰ\u0301\u0308\u05b0\u0e33"
        "\u0e4d\u0e32½²①Ⅷ१ªǅİẞ€×😀\u200d\ufe0f\u00a0\u3000\x00\x01\ue000\ufdd0\u0378\u1c89\u0711"
    )
    sentence = (
        "the quick brown Fox JUMPS over it's 42 lazy-dogs; naïve café 東京 "
        "привет don't x86_64 ''' 'n'"
    )
    words = sentence.split()
    for length in [2, 3, 4, 6, 9, 14, 20] * 45:
        plain.append("".join(draw.choice(alphabet) for _ in range(length)))
    for length in [5, 30, 200] * 15:
        plain.append(
            "".join(
                draw.choice(words) + draw.choice([" ", " ", "", "\n", ", "]) for _ in range(length)
            )
        )
    for low, high in [(0, 0x250), (0, 0x3100), (0x3000, 0x10000), (0, 0x20000)] * 30:
        some = (chr(draw.randrange(low, high)) for _ in range(12))
        plain.append("".join(c for c in some if not 0xD800 <= ord(c) < 0xE000))
    return plain


def counts(text: str) -> list[int]:
    def frame(version: str) -> int:
        return main._model(main._family(version)).message_overhead

    return [token_count(text, version) - frame(version) for version in VERSIONS.values()]


def probes() -> None:
    for name, family in FAMILIES.items():
        document = main._document(main._pieces_file(family))
        overhead = document["meta"]["message_overhead"]
        found = {}
        for entries in document["tokens"].values():
            found |= {w["probe"]: w["raw"] - overhead for w in entries.values() if w.get("probe")}
        print(json.dumps({"encoding": name.split(".")[0], "probes": found}))


def stretches(folders: list[str]) -> None:
    draw = random.Random(5)
    every = [path for folder in folders for path in sorted(Path(folder).rglob("*"))]
    paths = [path for path in every if path.is_file()]
    found: dict[str, dict[str, int]] = {name: {} for name in VERSIONS}
    for path in draw.sample(paths, min(len(paths), 3_000)):
        text = path.read_bytes()[:200_000].decode("utf-8", "ignore")
        at = draw.randrange(len(text) + 1)
        for name, count in zip(VERSIONS, counts(text[at : at + 1_000]), strict=True):
            found[name][text[at : at + 1_000]] = count
    for name, rows in found.items():
        print(json.dumps({"encoding": name, "probes": rows}))


if __name__ == "__main__":
    assert sys.version_info[:2] == (3, 13), "another edition of Unicode"
    if sys.argv[1:] == ["--probes"]:
        probes()
    elif sys.argv[1:2] == ["--texts"]:
        stretches(sys.argv[2:])
    else:
        for name, family in FAMILIES.items():
            (HERE / name).write_bytes(pieces(family))
        (HERE / "claude.classes").write_bytes(classes())
        rows = [json.dumps([text, counts(text)]) for text in texts()]
        head = f'{{"encodings": {json.dumps(list(VERSIONS))}, "texts": [\n'
        vectors = HERE.parent.parent / "tests" / "vectors"
        vectors.mkdir(exist_ok=True)
        (vectors / "claude_tokens.json").write_text(head + ",\n".join(rows) + "\n]}\n")
