"""The engine gives the ids that Python tiktoken gives, and our counts follow from them.

The Rust side is ``core/examples/token_ids.rs``; the Python side is tiktoken itself, its
vocabularies read from a package and checked by their published digests.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import random
import string
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from outlay._tiktoken_offline import SHA256, encoding

ROOT = Path(__file__).resolve().parents[2]
STDLIB = Path(ast.__file__).parent

# Article 1 of the Universal Declaration of Human Rights.
ARTICLE_1 = """
All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.
人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。
人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心,並應以兄弟關係的精神互相對待。
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।
يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.
כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.
Все люди рождаются свободными и равными в своем достоинстве и правах.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.
Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. İnsanların İĞÜŞÖÇ ığüşöç.
Alle Menschen sind frei und gleich an Würde und Rechten geboren. STRASSE Straße ẞ.
"""  # noqa: E501

EMOJI = "😀😃👍🏽👩‍👩‍👧‍👦🏳️‍🌈🇩🇪🇯🇵❤️☕️✨🤖🧑🏿‍🚀1️⃣🫠⌨️"

# One character or more for each class that either split pattern tells apart.
CLASSES = (
    "aZsdtlEéʰǅßкШが一힣\u0e33𝐀𠀀09²½Ⅷ٣ \t\r\n\x0b\x85\xa0\u2028\u3000"
    "'’/.(-_、。€😀\x00\u0301\u200d\ufe0f"
)


def prose() -> Iterator[str]:
    """Docstrings: English with markup, and always there."""
    for name in ("argparse", "asyncio/events", "datetime", "decimal", "doctest", "pydoc", "random"):
        module = ast.parse((STDLIB / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(module):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


def code() -> Iterator[str]:
    for name in ("argparse", "ast", "contextlib", "datetime", "turtle", "typing", "html/entities"):
        yield (STDLIB / f"{name}.py").read_text(encoding="utf-8")
    for path in sorted((ROOT / "core" / "src").rglob("*.rs")):
        yield path.read_text(encoding="utf-8")


def json_text() -> Iterator[str]:
    rng = random.Random(1)
    keys, lines = ["id", "Name", "créé", "名前"], ARTICLE_1.splitlines()

    def value(depth: int) -> object:
        kind = rng.randrange(7 if depth < 4 else 5)
        if kind == 5:
            return [value(depth + 1) for _ in range(rng.randrange(5))]
        if kind == 6:
            return {rng.choice(keys) + str(i): value(depth + 1) for i in range(4)}
        return [None, True, rng.randrange(10**9), rng.random() * 1000, rng.choice(lines)][kind]

    for indent, ascii_only in [(None, True), (None, False), (2, False), ("\t", False)]:
        rows = [value(0) for _ in range(60)]
        yield json.dumps(rows, indent=indent, ensure_ascii=ascii_only)


def scripts() -> Iterator[str]:
    rng = random.Random(2)
    yield ARTICLE_1
    for line in ARTICLE_1.splitlines():
        yield line
        for _ in range(20):
            yield line[rng.randrange(len(line) + 1) :] + line[: rng.randrange(len(line) + 1)]
    for first, last in [(0x4E00, 0x9FA5), (0x3041, 0x30FF), (0xAC00, 0xD7A3), (0x0E01, 0x0E5B)]:
        for _ in range(20):
            yield "".join(chr(rng.randint(first, last)) for _ in range(300))


def emoji() -> Iterator[str]:
    rng = random.Random(3)
    yield EMOJI * 6
    for _ in range(200):
        yield "".join(rng.choices([*EMOJI, " ", "a", "!"], k=40))


def base64_text() -> Iterator[str]:
    rng = random.Random(4)
    for size in (3, 100, 3000, 60_000):
        yield base64.b64encode(rng.randbytes(size)).decode()
        yield base64.encodebytes(rng.randbytes(size)).decode()
        yield rng.randbytes(size).hex()


def runs() -> Iterator[str]:
    """Up to the length beyond which our count is no longer exact, and beyond it."""
    rng = random.Random(8)
    lengths = [*range(1, 40), 83, 84, 127, 128, 129, 255, 257, 1023, 1024, 1025, 2000, 9000]
    for unit in ["ab", "\r\n", "' ", *"aA \n\t=-/é一。😀0"]:
        for length in lengths:
            yield unit * length
            yield "x" + unit * length + "y"
    alphabets = [string.ascii_lowercase, string.punctuation, "абвгдежзийклмн", "天地玄黃宇宙洪荒"]
    for alphabet in [*alphabets, EMOJI]:
        for length in [50, 200, 1000, 3000]:
            yield "".join(rng.choices(alphabet, k=length))


def whitespace() -> Iterator[str]:
    rng = random.Random(5)
    units = ["  ", "\r\n", "word", "'s", *" \t\n\r\xa0\u3000\u20281/."]
    for _ in range(400):
        yield "".join(rng.choices(units, k=rng.randrange(60)))


def words() -> Iterator[str]:
    yield "don't Don'T DON'T it's I'm we'll they'RE you've he'd 'tis o'clock ''s 'S\u017f x'\u017f"
    yield "CamelCaseWord snake_case HTTPServer iPhone XMLHttpRequest2 ǅungla ʰello ÀÉÎõü naïveté"
    yield "1 12 123 1234 12345 1,234,567.89 ²³¹ ½ Ⅷ ٣٤٥٦ 1st 2nd 0x7fff 1e-05 +49(0)30-1234"
    yield "<|endoftext|> <|im_start|>user<|im_sep|> <|endofprompt|><|fim_prefix|>"
    yield "https://example.org/a/b/../c?d=e&f=%20#g ./x/y.z C:\\x //y\n/*x*/ </p>\n///\n...\n/\n"


def random_classes() -> Iterator[str]:
    rng = random.Random(6)
    for _ in range(4000):
        yield "".join(rng.choices(CLASSES, k=rng.randrange(1, 14)))


def random_unicode() -> Iterator[str]:
    rng = random.Random(7)
    planes = [(0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
    for _ in range(2000):
        length = rng.choice([3, 10, 100])
        yield "".join(chr(rng.randint(*rng.choice(planes))) for _ in range(length))


def given() -> Iterator[str]:
    """The beginnings of files in the folders of OUTLAY_TOKEN_TEXTS, OUTLAY_TOKEN_MB in all."""
    left = int(os.environ.get("OUTLAY_TOKEN_MB", 3)) * 1_000_000
    for folder in os.environ.get("OUTLAY_TOKEN_TEXTS", str(STDLIB)).split(":"):
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            text = path.read_bytes()[:60_000].decode("utf-8", "ignore")
            left -= len(text.encode())
            if left < 0:
                return
            yield text


KINDS: list[Callable[[], Iterator[str]]] = [
    prose, code, json_text, scripts, emoji, base64_text,
    runs, whitespace, words, random_classes, random_unicode,
]  # fmt: skip


def ask(questions: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What the Rust side says to each question."""
    command = ["cargo", "run", "--quiet", "--package", "outlay", "--example", "token_ids"]
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    printed = subprocess.run(command, cwd=ROOT, input=lines.encode(), capture_output=True)
    assert printed.returncode == 0, printed.stderr.decode()
    return [json.loads(line) for line in printed.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str], list[tuple[str, dict[str, Any]]]]:
    """Texts with the Rust side's answers, by encoding and kind of text; one process for all."""
    keys = [(name, kind.__name__) for name in SHA256 for kind in KINDS]
    texts = {kind.__name__: list(kind()) for kind in KINDS}
    flat = [{"encoding": name, "text": text} for name, kind in keys for text in texts[kind]]
    replies = iter(ask(flat))
    return {(name, kind): [(text, next(replies)) for text in texts[kind]] for name, kind in keys}


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
@pytest.mark.parametrize("name", SHA256)
def test_ids_and_counts_are_those_of_tiktoken(
    answers: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]], name: str, kind: str
) -> None:
    assert answers[name, kind]
    for text, answer in answers[name, kind]:
        check(name, text, answer)
        assert answer["exact"] or kind == "runs", repr(text[:200])


def check(name: str, text: str, answer: dict[str, Any]) -> None:
    expected = encoding(name).encode_ordinary(text)
    assert answer["ids"] == expected, repr(text[:200])
    if answer["exact"]:
        assert answer["tokens"] == answer["streamed"] == len(expected), repr(text[:200])
    else:
        assert len(expected) <= answer["tokens"] == answer["streamed"], repr(text[:200])
    assert answer["lowest"] <= len(expected), repr(text[:200])


@pytest.mark.parametrize("name", SHA256)
def test_files_make_the_same_ids(name: str) -> None:
    size, texts = 0, given()
    while batch := list(islice(texts, 200)):
        replies = ask([{"encoding": name, "text": text} for text in batch])
        for text, answer in zip(batch, replies, strict=True):
            check(name, text, answer)
        size += sum(len(text.encode()) for text in batch)
    print(f"{name}: {size / 1e6:.1f} MB")
    assert size > 1_000_000


def test_only_runs_beyond_a_kibibyte_are_inexact(
    answers: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]],
) -> None:
    inexact = [text for text, answer in answers["o200k_base", "runs"] if not answer["exact"]]
    assert inexact
    assert all(len(text.encode()) > 1024 for text in inexact)


def test_a_vocabulary_with_another_digest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding.cache_clear()
    monkeypatch.setitem(SHA256, "cl100k_base", "0" * 64)
    with pytest.raises(ValueError, match="has digest 223921b76ee9"):
        encoding("cl100k_base")


def test_an_encoding_without_a_packaged_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="no packaged vocabulary for `gpt2`"):
        encoding("gpt2")
