"""The text on which tokenizers are compared: scripts, code, emoji, digits, whitespace."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

SEED = 20260101

# Letters (with the marks that belong to them) of living scripts: first and last code point.
SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "latin": ((0x61, 0x7A), (0x41, 0x5A)),
    "latin-1": ((0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0xFF)),
    "latin-extended": ((0x61, 0x7A), (0x100, 0x17E), (0x1E00, 0x1EF9)),
    "greek": ((0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9)),
    "cyrillic": ((0x410, 0x44F), (0x430, 0x45F)),
    "armenian": ((0x531, 0x556), (0x561, 0x587)),
    "hebrew": ((0x5D0, 0x5EA), (0x5B0, 0x5BC)),
    "arabic": ((0x620, 0x64A), (0x64B, 0x652), (0x671, 0x6D3)),
    "devanagari": ((0x904, 0x939), (0x93E, 0x94D)),
    "bengali": ((0x985, 0x98C), (0x993, 0x9A8), (0x9BE, 0x9C4)),
    "tamil": ((0xB85, 0xB8A), (0xB92, 0xB95), (0xBBE, 0xBC2)),
    "thai": ((0xE01, 0xE30), (0xE31, 0xE3A), (0xE40, 0xE4E)),
    "georgian": ((0x10D0, 0x10F0),),
    "ethiopic": ((0x1200, 0x1248),),
    "khmer": ((0x1780, 0x17B3), (0x17B6, 0x17D1)),
    "hiragana": ((0x3041, 0x3096),),
    "katakana": ((0x30A1, 0x30FA),),
    "han": ((0x4E00, 0x9FA5),),
    "hangul": ((0xAC00, 0xD7A3),),
    "mathematical": ((0x1D400, 0x1D454), (0x1D6A8, 0x1D6C0)),
}
EMOJI = (
    "🙂",
    "😂",
    "🚀",
    "❤️",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👨🏿‍💻",
    "🇩🇪",
    "🇯🇵",
    "1️⃣",
    "🧑‍🚒",
    "☕",
    "🤷🏻‍♀️",
    "🫠",
    "⚠️",
)
SPACES = (
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " \n",
    "\n ",
    "\u00a0",
    "\u3000",
    "\u2009",
)
MARKS = ".,;:!?-_/\\|()[]{}<>\"'`~@#$%^&*+=…–—«»“”‘’¿¡·•€£¥§©®™°±×÷→←∑√∞≠≤≥、。！？「」（）"
CONTRACTIONS = (
    "I'm",
    "don't",
    "we'll",
    "they'RE",
    "it's",
    "I'VE",
    "he'd",
    "O'Neill",
    "'tis",
    "'S",
    "’s",
    "l'eau",
)
CODE = (
    'def f(x: int) -> str:\n    return f"{x:>08b}"\n',
    "for (int i = 0; i < n; ++i) {\n\ta[i] += b[i] * c; // sum\n}\n",
    "SELECT id, name FROM users WHERE age >= 21 AND name LIKE '%o''b%';",
    "<div class=\"a b\" data-x='1'>&amp;&nbsp;</div><!-- end -->",
    '{"key": [1, 2.5e-3, null, true], "nested": {"a\\n": "\\u00e9"}}',
    "$ grep -rn 'x\\.y' ./src | sort -u > out.txt && echo $?",
    "https://example.org/a/b?x=1&y=%20#frag user@example.org 192.168.0.1:8080",
    "#include <stdio.h>\r\nint main(void)\r\n{\r\n\treturn 0;\r\n}\r\n",
    'let s = r#"raw"#; match x { Some(_) => {}, None => panic!("no"), }',
    "\\frac{\\partial f}{\\partial x_{i}} = \\sum_{k=0}^{\\infty} a_k x^k",
    "camelCaseName PascalCaseName snake_case_name SCREAMING_SNAKE kebab-case HTTPServer2Go iOS",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n\n- [x] done\n  * nested\n\n```py\nx=1\n```",
)
SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Portez ce vieux whisky au juge blond qui fume.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "いろはにほへと ちりぬるを 色は匂へど 散りぬるを。",
    "我能吞下玻璃而不伤身体。天地玄黃，宇宙洪荒。",
    "다람쥐 헌 쳇바퀴에 타고파.",
    "Pijamalı hasta yağız şoföre çabucak güvendi. İSTANBUL ığdır",
    "Tôi có thể ăn thủy tinh mà không hại gì.",
)


def lines(special: Sequence[str] = ()) -> list[str]:
    """At least 2,000 texts, always the same; `special` are the model's own added tokens."""
    # The comparison must be repeatable, not unguessable.
    chance = random.Random(SEED)  # noqa: S311
    found = [*SENTENCES, *CODE, *CONTRACTIONS, *EMOJI, *SPACES, "", *_fixed()]
    for ranges in SCRIPTS.values():
        found.extend(_sentence(chance, ranges) for _ in range(30))
    found.extend(_digits(chance) for _ in range(150))
    found.extend(_whitespace(chance) for _ in range(150))
    found.extend(_mixture(chance) for _ in range(900))
    found.extend(_with_special(chance, special[:64]) for _ in range(150 if special else 0))
    return found


def _fixed() -> Iterator[str]:
    for run in range(1, 41):
        yield " " * run + "x"
        yield "a" + "\n" * run + "b"
        yield "7" * run
    for mark in MARKS:
        yield mark
        yield f"a{mark}b {mark} {mark * 3}c"
    for sentence in SENTENCES:
        yield sentence.upper()
        yield sentence.title() + "  "
        yield "\t" + sentence.replace(" ", "\u00a0")
    yield "x" * 300
    yield "null\u200bwidth\u200d\ufeff \u00adsoft\u2028line\u2029paragraph"
    yield "next\u0085line \u001b[0m\u007f"


def _word(chance: random.Random, ranges: Sequence[tuple[int, int]], longest: int = 9) -> str:
    letters = []
    for _ in range(chance.randint(1, longest)):
        first, last = chance.choice(ranges)
        letters.append(chr(chance.randint(first, last)))
    return "".join(letters)


def _sentence(chance: random.Random, ranges: Sequence[tuple[int, int]]) -> str:
    words = [_word(chance, ranges) for _ in range(chance.randint(1, 8))]
    return chance.choice((" ", " ", ", ", "  ", "-", "")).join(words) + chance.choice(
        (".", "!", "")
    )


def _digits(chance: random.Random) -> str:
    whole = "".join(str(chance.randint(0, 9)) for _ in range(chance.randint(1, 20)))
    other = chr(chance.choice((0x660, 0x966, 0xFF10)) + chance.randint(0, 9)) * chance.randint(1, 4)
    pattern = chance.choice(
        ("{0}", "{0},{0}.{0}", "-{0}e+{0}", "{0}%", "№{0}", "{0}{1}", "a{0}b{1}c ½{0}²")
    )
    return pattern.format(whole, other)


def _whitespace(chance: random.Random) -> str:
    parts = []
    for _ in range(chance.randint(1, 6)):
        parts.append(chance.choice(SPACES) * chance.randint(1, 3))
        parts.append(chance.choice(("", "word", "Don't", "é", "1", ".", "日")))
    return "".join(parts)


def _mixture(chance: random.Random) -> str:
    scripts = list(SCRIPTS.values())
    parts = []
    for _ in range(chance.randint(1, 12)):
        kind = chance.randint(0, 6)
        if kind <= 1:
            parts.append(_word(chance, chance.choice(scripts), 6))
        elif kind == 2:
            parts.append(chance.choice(EMOJI))
        elif kind == 3:
            parts.append(chance.choice(MARKS) * chance.randint(1, 3))
        elif kind == 4:
            parts.append(str(chance.randint(0, 10**6)))
        else:
            parts.append(chance.choice((*SPACES, " ", " ", *CONTRACTIONS)))
    return "".join(parts)


def _with_special(chance: random.Random, special: Sequence[str]) -> str:
    parts = []
    for _ in range(chance.randint(1, 4)):
        parts.append(chance.choice(special))
        parts.append(
            chance.choice(
                ("", " ", "\n", "user\n", "Hello there.", " leading", "trailing ", "日本", "🙂")
            )
        )
    return chance.choice(("", "Hi ", "\n")) + "".join(parts)
