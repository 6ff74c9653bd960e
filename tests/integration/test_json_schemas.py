"""What the grammar of a JSON schema makes follows the schema, as another validator sees it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from resource import RLIMIT_AS, prlimit
from typing import Any, Literal, Optional

import jsonschema
import pydantic
import pytest

from sphere_edge import resources
from sphere_edge.run import run
from sphere_edge.toolchain import archives, compilers, sources, targets
from tests.integration import schema_cases
from tests.integration.schema_cases import Followed, Refused

# Where Python's regular expressions are not ECMAScript's.
PYTHON_PATTERNS = {
    r"^\w+\s\S+$": r"\A[0-9A-Za-z_]+[\s\ufeff][^\t-\r \xa0\ufeff]+\Z",
    r"^(?<year>[12]\d{3})$": r"^(?P<year>[12][0-9]{3})$",
    r"^\u00e9\x41\u{1F98A}\t$": "^\u00e9A\U0001f98a\t$",
    r"^\p{Lu}\p{L}+$": r"^.{2,}$",
}
# Those that the validator judges as their RFCs do.
FORMATS = jsonschema.FormatChecker(["date", "email", "ipv4", "ipv6", "uuid"])
SAMPLES = 30


class Program:
    """Makes grammars of schemas, texts of grammars, and says which texts a grammar takes."""

    def __init__(self, path: Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([path], stdin=pipe, stdout=pipe, encoding="utf-8")
        prlimit(self._process.pid, RLIMIT_AS, (2**30, 2**30))

    def ask(self, schema: Any, **more: Any) -> dict[str, Any]:
        """What the program answers about one schema."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"schema": schema, **more}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Our schemas and llama.cpp's grammars in one program, without a model."""
    host, folder = targets.host(), tmp_path_factory.mktemp("schemas")
    archives.build(("vocab",), host)
    native = resources.folder("native")
    llama = sources.folder(sources.SOURCES["llama_cpp"])
    src = native / "src"
    files = [
        Path(__file__).with_name("schema_grammar_main.cpp"),
        *(src / "base" / f"{name}.cpp" for name in ("json", "status", "utf8")),
        *(src / "text" / f"{name}.cpp" for name in ("decimal", "ecma_pattern", "grammar_rules")),
        *sorted((src / "text").glob("schema_*.cpp")),
        *(src / "text" / f"{name}.cpp" for name in ("regex", "string_formats", "unicode")),
    ]
    # One file is compiled faster than many.
    (folder / "all.cpp").write_text("".join(f'#include "{file}"\n' for file in files))
    flags = ["-std=c++20", "-O1", "-g0", "-w", "-DGGML_MAX_NAME=128", '-DSE_VERSION="0"']
    flags += ["-I", native / "include", "-I", src, "-Wl,--gc-sections"]
    for part in ("include", "ggml/include", "vendor", "src"):
        flags += ["-isystem", llama / part]
    made = archives.folder("vocab", host)
    environment = compilers.environment()
    objects = []
    for name in ("cpu_features", "cpu_features_needed", "library_gate"):
        objects.append(folder / f"{name}.o")
        words = ["-c", src / "base" / f"{name}.c", "-I", native / "include", "-I", src]
        run([compilers.zig(), "cc", *words, "-o", objects[-1]], timeout_s=600, env=environment)
    libraries = [made / "libse_vocab.a", made / "libggml-base.a"]
    out = folder / "schemas"
    words = ["c++", *flags, folder / "all.cpp", *objects, *libraries, "-o", out]
    run([compilers.zig(), *words], timeout_s=1800, env=environment)
    running = Program(out)
    yield running
    running.close()


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def is_integer(_: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def exact(text: str) -> Any:
    """The value of JSON, with numbers that are not rounded."""
    return json.loads(text, parse_float=Decimal)


def validator(schema: Any) -> Any:
    """As the schema is, with numbers that are not rounded, and with patterns in Python's syntax."""
    text = json.dumps(schema)
    for pattern, python in PYTHON_PATTERNS.items():
        text = text.replace(json.dumps(pattern), json.dumps(python))
    old = isinstance(schema, dict) and isinstance(schema.get("items"), list)
    kind = jsonschema.Draft7Validator if old else jsonschema.Draft202012Validator
    types = kind.TYPE_CHECKER.redefine("integer", is_integer)
    return jsonschema.validators.extend(kind, type_checker=types)(
        exact(text), format_checker=FORMATS
    )


def judged(program: Program, case: Followed) -> None:
    answer = program.ask(
        case.schema, samples=SAMPLES, texts=[written(v) for v in (*case.takes, *case.refuses)]
    )
    assert "refused" not in answer and "failed" not in answer, answer
    judge = validator(case.schema)
    finished = [text for text in answer["samples"] if not text.startswith("no end of ")]
    # Only what must be thousands of characters long is too far for the search of an end.
    assert len(finished) == SAMPLES or "2100" in str(case.schema)
    for text in finished:
        judge.validate(exact(text))
    taken = answer["taken"]
    for value, is_taken in zip(case.takes, taken[: len(case.takes)], strict=True):
        judge.validate(exact(written(value)))
        assert is_taken, value
    for value, is_taken in zip(case.refuses, taken[len(case.takes) :], strict=True):
        assert not is_taken, value


@pytest.mark.parametrize(
    "kind", ["TYPES", "VALUES", "NUMBERS", "STRINGS", "ARRAYS", "OBJECTS", "COMBINED"]
)
def test_a_schema_is_followed_exactly_or_refused_by_name(program: Program, kind: str) -> None:
    for case in getattr(schema_cases, kind):
        if isinstance(case, Refused):
            answer = program.ask(case.schema)
            assert case.path in answer.get("refused", "accepted"), case.schema
        else:
            judged(program, case)


def test_there_are_schemas_of_all_keywords() -> None:
    assert len(schema_cases.ALL) >= 240


class Address(pydantic.BaseModel):
    """One model in another."""

    street: str
    zip_code: str = pydantic.Field(pattern=r"^\d{5}$")


class Person(pydantic.BaseModel):
    """What Python programs ask for."""

    name: str = pydantic.Field(min_length=1, max_length=20)
    age: int = pydantic.Field(ge=0, lt=150)
    share: float = pydantic.Field(ge=0, le=1)
    price: float = pydantic.Field(gt=0, le=1000)
    nickname: Optional[str] = None  # noqa: UP045
    mood: Literal["good", "bad"] = "good"
    address: Address
    others: list[Address] = []
    marks: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")
    parent: Optional[Person] = None  # noqa: UP045


def test_the_schemas_of_pydantic_are_followed(program: Program) -> None:
    schema = Person.model_json_schema()
    answer = program.ask(schema, samples=200)
    assert "refused" not in answer, answer
    for text in answer["samples"]:
        if not text.startswith("no end of "):
            Person.model_validate_json(text)


def test_the_schemas_of_zod_are_followed(program: Program) -> None:
    schema = json.loads((resources.folder("native").parent / "tests/data/zod.json").read_text())
    answer = program.ask(schema, samples=100)
    assert "refused" not in answer, answer
    for text in answer["samples"]:
        jsonschema.validate(json.loads(text), schema)


def test_a_tool_that_is_not_strict_drops_what_cannot_be_followed(program: Program) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "(?=x)"},
            "b": {"$ref": "https://a.example"},
            "c": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
            "d": {"type": "string", "nullable": True},
        },
        "if": {"required": ["a"]},
    }
    answer = program.ask(schema, lenient=True, samples=5)
    assert sorted(answer["dropped"]) == [
        "#/if",
        "#/properties/a/pattern",
        "#/properties/b/$ref",
        "#/properties/c/uniqueItems",
        "#/properties/d/nullable",
    ]


HOSTILE = {
    "a pattern of a million states": {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"},
    "a pattern whose automaton doubles": {"type": "string", "pattern": "a.{300}$"},
    "a product of alternatives": {
        "allOf": [{"anyOf": [{"minLength": i}, {"maxLength": i}]} for i in range(30)]
    },
    "a chain of references": {
        "$defs": {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(3000)},
        "$ref": "#/$defs/d0",
    },
    "many values and many alternatives": {
        "enum": list(range(2000)),
        "anyOf": [{"minimum": i} for i in range(200)],
    },
    "a long list of values in each of many alternatives": {
        "enum": [f"{i:050}" for i in range(5000)],
        "anyOf": [{}] * 15_000,
    },
    "many values that are not": {"not": {"enum": list(range(30_000))}},
    "rules of many objects": {
        "$defs": {
            "R": {
                "type": "object",
                "required": [f"a{i}" for i in range(220)],
                "maxProperties": 221,
            }
        },
        "type": "array",
        "prefixItems": [
            {"allOf": [{"$ref": "#/$defs/R"}, {"required": [f"k{i}"]}]} for i in range(100)
        ],
    },
    "many long patterns": {
        "type": "array",
        "prefixItems": [
            {"type": "string", "pattern": "^\\p{L}{4000}$", "maxLength": 4000 + i}
            for i in range(100)
        ],
    },
    "many members to count": {
        "type": "object",
        "properties": {f"p{i}": {} for i in range(250)},
        "minProperties": 240,
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_schema_that_would_grow_without_end_is_refused(program: Program, name: str) -> None:
    assert program.ask(HOSTILE[name]).get("refused"), name
