"""Public places use the field's words: names, help, messages, the C header and the docs.

`WORDS` says what we once said and what everybody says. A word is looked for in prose (docs, help,
docstrings, comments of the C header, messages) or in names (identifiers, files, commands).
`ALLOWED` has what is ordinary English or fixed on disk, each with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from sphere_edge import cli

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Word:
    """`standard` replaces what `prose` finds in texts and `names` in the words of a name."""

    standard: str
    example: str
    prose: str = ""
    names: str = ""
    # Where the rule holds; file patterns below the repository.
    where: str = "*"


WORDS = [
    Word("architecture", "how the house is built", r"\bhouses?\b", "houses?"),
    Word("package", "a room for each engine", r"\b(a|the|this|that|its) rooms?\b"),
    Word("transport", "per road", r"\broads?\b", "roads?"),
    Word("entry point, wrapper", "the one door to programs", r"\bdoors?\b", "doors?"),
    Word("subcommand, action", "one file per verb", r"\bverbs?\b", "verbs?"),
    Word("request", "27 kinds of wishes", r"\bwish(es|ed)?\b", "wish|wishes|asked"),
    Word("generate-image", "sphere-edge imagine", r"\bimagin\w+", "imagine"),
    Word("generate", "paint it", r"\b(re)?paint\w*", "paint|painting|painted|painter"),
    Word("image", "a picture", r"\bpictur\w+", "pictures?"),
    Word("link_or_copy, target, environment", "engines/place", "", "places?|placed"),
    Word("remote headers, prefixes", "its beginnings", r"\bbeginnings\b", "beginnings?"),
    Word("transcribe, on_line", "it hears you", r"\bhear(s|d|ing)?\b", "hear|hears|heard|hearing"),
    Word("transcribe, stream", "it listens", r"\blisten(s|ed|ing)?\b", "listen|listens|listening"),
    Word("output, report", "it told us", r"\btold\b", "told|said"),
    Word("inventory", "a survey", r"\bsurveys?\b", "surveys?|surveyed"),
    Word("call guard", "class Turn", "", "Turn"),
    Word("engine task, output stream", "class Work", "", "Work|Answer"),
    Word("trace callback", "se_text_watch", "", "watch|watching"),
    Word("validation result", "the verdict", r"\bverdicts?\b", "verdicts?"),
    Word("weight mapping, source tensor", "models/origin", "", "origins?|Part"),
    Word("scales", "quantization steps", "", "steps?", "sphere_edge/quantization/*"),
    Word("routing weights, expert indices", "shares", "", "shares?|chosen", "*expert*"),
    Word("KV splits", "a stretch of keys", r"\bstretch(es)?\b", "stretch|stretches"),
    Word("row quads", "by fours", r"\bfours\b", "fours"),
    Word("calibration or reference text", "a passage", r"\bpassages?\b", "passages?"),
    Word("calibration or reference text", "it reads a page", r"\breads? a page\b|built-in page"),
    Word(
        "VAD",
        "voice_detection",
        r"\bvoice[ -]detect(ion|or|ors)\b",
        "voice_detect(ion|or|ors)",
    ),
    Word("vocab and merges files", "the tokenizer's tables", r"tokenizers?'?s? tables"),
    Word("duplicate", "stands twice", r"\b(stands?|names?|keys?) twice\b"),
    Word("auto-detected", "found out", r"\bfound out\b"),
    Word("at 16 kHz", "so many a second", r"\bso many\b"),
    Word("negative prompt", "what shall not be seen", r"\bshall\b"),
    Word("matches its reference", "answers wrongly", r"\b(wrongly|rightly|aright)\b"),
    Word("is not a", "a file that is no model", r"(?<!there )\b(is|are) no (?!longer\b|more\b)"),
    Word("invalid value", "cannot be `x`", r"cannot be (`|\{)"),
    Word("trained", "has not learnt to be guided", r"\blearnt to be guided\b"),
]


@dataclass(frozen=True)
class Allowed:
    """What `found` matches in files like `where` may stay, for this reason."""

    where: str
    found: str
    reason: str


_ALIAS = "a former name, which works with a warning for one release"
ALLOWED: list[Allowed] = [
    Allowed("*", r"verdict\.json|\bverdicts/", "a file's name in stores on devices, and a folder"),
    Allowed("*", r"(?i)\blisten(s|ing)?( on|;)", "what a server does on a port"),
    Allowed("sphere_edge/simulate/*", r"(?i)listen(s|ing)", "what a server does"),
    Allowed("*", r"in_place", "the usual word for an operation without a copy"),
    Allowed(
        "sphere_edge/toolchain/elf/*", r"place[sd]?", "ELF's own word for where a relocation is"
    ),
    Allowed("sphere_edge/bench/text.py", r"origin", "the moment from which times are counted"),
    Allowed("sphere_edge/toolchain/prebuilt.py", r"origin", "where a runtime comes from"),
    Allowed("sphere?edge?serve", r"origin", "the header of HTTP"),
    Allowed("sphere_edge/server/*", r"origins?", "the header of HTTP"),
    Allowed("sphere_edge/cli/serve.py", r"origin", "the header of HTTP"),
    Allowed("CHANGELOG.md", r"`[^`]*`|\"[^\"]*\"", "names and words that were replaced"),
    Allowed("sphere_edge/runtime/image.py", r"reads_pictures", _ALIAS),
    Allowed("sphere_edge/runtime/audio.py", r"listen|has_voice_detector", _ALIAS),
]


@dataclass(frozen=True)
class Text:
    """A piece of prose or a name, and the file that it is in."""

    file: str
    line: int
    text: str
    is_name: bool = False


_PAGES = (
    *("*.md", "docs/**/*.md", "training/*.md", "native/**/*.md", "sphere_edge/**/*.md"),
    # Reports and what `profiles show` prints.
    *("sphere_edge/**/*.j2", "device_profiles/**/*.toml"),
)
_C_SOURCES = ("native/**/*.h", "native/**/*.c", "native/**/*.cpp")
_C_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_C_TYPE = re.compile(r"\b(?:class|struct|enum class|enum)\s+([A-Za-z]\w*)")
_C_NAME = re.compile(r"\bse_\w+|\bSE_\w+")


@cache
def texts() -> tuple[Text, ...]:
    """All that somebody outside may read: pages, help, messages, docstrings and names."""
    return (*_pages(), *_command_line(), *_python(), *_native())


def _files(*patterns: str) -> Iterator[tuple[str, str]]:
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def _pages() -> Iterator[Text]:
    for name, content in _files(*_PAGES):
        for number, line in enumerate(content.splitlines(), 1):
            yield Text(name, number, line)


def _command_line() -> Iterator[Text]:
    """Help as users see it: hidden aliases are not shown."""

    def walk(command: Any, path: str) -> Iterator[Text]:
        for parameter in command.params:
            if getattr(parameter, "hidden", False):
                continue
            for flag in (*parameter.opts, *parameter.secondary_opts):
                yield Text(path, 0, flag.strip("-").replace("-", "_"), is_name=True)
            yield Text(path, 0, getattr(parameter, "help", None) or "")
        yield Text(path, 0, " ".join((command.help or "", command.epilog or "")))
        for name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                yield Text(path, 0, name.replace("-", "_"), is_name=True)
                yield from walk(child, f"{path} {name}")

    yield from walk(typer.main.get_command(cli.app()), "sphere-edge")


def _python() -> Iterator[Text]:
    """Docstrings, messages (strings of several words), and the names of what is defined."""
    for name, content in _files("sphere_edge/**/*.py"):
        for part in Path(name).with_suffix("").parts[1:]:
            yield Text(name, 0, part, is_name=True)
        for node in ast.walk(ast.parse(content)):
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if " " in node.value:
                    yield Text(name, line, " ".join(node.value.split()))
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield Text(name, line, node.name, is_name=True)
            elif isinstance(node, ast.arg):
                yield Text(name, line, node.arg, is_name=True)
            if isinstance(node, ast.ClassDef | ast.Module):
                for target in _assigned(node):
                    yield Text(name, target.lineno, target.id, is_name=True)


def _assigned(node: ast.ClassDef | ast.Module) -> Iterator[ast.Name]:
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        yield from (target for target in targets if isinstance(target, ast.Name))


def _native() -> Iterator[Text]:
    """The header as a whole; of the sources their files, types and messages."""
    for name, content in _files(*_C_SOURCES):
        if not name.startswith("native/tests/"):
            yield Text(name, 0, Path(name).stem, is_name=True)
        for number, line in enumerate(content.splitlines(), 1):
            if name.startswith("native/include/"):
                yield Text(name, number, line)
                yield from (Text(name, number, n, is_name=True) for n in _C_NAME.findall(line))
            else:
                strings = _C_STRING.findall(line)
                yield from (Text(name, number, string) for string in strings if " " in string)
                yield from (Text(name, number, n, is_name=True) for n in _C_TYPE.findall(line))


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


def found(word: Word, text: Text) -> bool:
    """Whether `text` has what `word.standard` replaces, where that is not allowed."""
    if not _has(word, text) or not fnmatch(text.file, word.where):
        return False
    rest = text.text
    for allowed in ALLOWED:
        if fnmatch(text.file, allowed.where):
            rest = re.sub(allowed.found, "", rest)
    return _has(word, replace(text, text=rest))


def _has(word: Word, text: Text) -> bool:
    if not text.is_name:
        return bool(word.prose and re.search(word.prose, text.text, re.IGNORECASE))
    if word.names[:1].isupper():
        return re.fullmatch(word.names, text.text) is not None
    return bool(word.names and re.search(f"(^|_)({word.names})(_|$)", _snake(text.text)))


@pytest.mark.parametrize("word", WORDS, ids=[f"{one.example}" for one in WORDS])
def test_public_places_use_the_standard_word(word: Word) -> None:
    hits = [f"{one.file}:{one.line}: {one.text}" for one in texts() if found(word, one)]
    assert not hits, f"say `{word.standard}`, or allow it with a reason:\n" + "\n".join(hits)


@pytest.mark.parametrize("word", WORDS, ids=[one.example for one in WORDS])
def test_a_word_that_comes_back_is_found(word: Word) -> None:
    file = word.where.replace("*", "experts.py")
    name = re.sub(r"\W+", "_", word.example)
    names = [name, *word.example.replace("/", " ").split()]
    texts_of_it = [
        Text(file, 1, word.example),
        *(Text(file, 1, one, is_name=True) for one in names),
    ]
    assert any(found(word, one) for one in texts_of_it)


@pytest.mark.parametrize("allowed", ALLOWED, ids=[one.found for one in ALLOWED])
def test_nothing_is_allowed_that_is_not_there(allowed: Allowed) -> None:
    here = [one for one in texts() if fnmatch(one.file, allowed.where)]
    hidden = [one for one in here if re.search(allowed.found, one.text)]
    assert any(_has(word, one) for one in hidden for word in WORDS), allowed.reason
