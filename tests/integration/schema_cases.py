"""JSON schemas, each with answers that the grammar must take and some that it must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any] | bool


@dataclass(frozen=True)
class Followed:
    """`takes` are values that its grammar takes, `refuses` values that it does not."""

    schema: Schema
    takes: tuple[Any, ...] = ()
    refuses: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Refused:
    """`path` is where the message says that it cannot be followed."""

    schema: Schema
    path: str


def closed(required: tuple[str, ...] | None = None, **properties: Any) -> dict[str, Any]:
    """An object of just these members, all of them required unless some are named."""
    names = list(properties) if required is None else list(required)
    whole = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**whole, "required": names}


STRING = {"type": "string"}
INTEGER = {"type": "integer"}
COLOURS = {"enum": ["red", "green", "blue"]}
LONG = "x" * 3000

TYPES = [
    Followed({}, (1, "a", None, [1, {"a": []}], {"a": 1}, 1.5, True)),
    Followed(True, (1, "a", {})),
    Followed({"type": "null"}, (None,), (0, "null", False)),
    Followed({"type": "boolean"}, (True, False), (None, 0, "true")),
    Followed({"type": "integer"}, (0, 1, -7, 123456789), (1.5, "1", None)),
    Followed({"type": "number"}, (0, -1.5, 1e20, 0.25), ("1", None)),
    Followed({"type": "string"}, ("", 'a"b\\c\n', "é中🦊", LONG), (1, None)),
    Followed({"type": "array"}, ([], [1, "a", []]), ({}, 1)),
    Followed({"type": "object"}, ({}, {"a": 1, "b": {}}), ([], 1)),
    Followed({"type": ["string", "null"]}, ("a", None), (1, [])),
    Followed({"type": ["integer", "string"], "minimum": 3, "maxLength": 2}, (3, "ab"), (2, "abc")),
    Followed({"type": ["object", "array"]}, ({}, []), (1, "a", None)),
    Followed({"type": "array", "items": False}, ([],), ([1],)),
    Followed(
        {
            "title": "a",
            "description": "b",
            "default": 1,
            "examples": [1],
            "$comment": "c",
            "type": "integer",
        },
        (1,),
    ),
    Followed(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://a.example/b",
            "type": "null",
        },
        (None,),
    ),
    Followed(
        {"type": "string", "x-order": 3, "deprecated": True, "readOnly": False, "writeOnly": True},
        ("a",),
    ),
    Refused({"type": "text"}, "#/type"),
    Refused({"type": []}, "#/type"),
    Refused({"type": "string", "foo": 1}, "#/foo"),
    Refused({"type": "string", "nullable": True}, "#/nullable"),
]

VALUES = [
    Followed(
        {"enum": ["a", 'quo"te', "back\\slash", "é", "🦊", "line\nend", ""]},
        ('quo"te', "back\\slash", "🦊", "line\nend", ""),
        ("b", None),
    ),
    Followed(
        {"enum": [1, 2.5, None, True, "x", [1, {"a": 2}], {"b": []}]},
        (1, 2.5, None, True, [1, {"a": 2}], {"b": []}),
        (2, False),
    ),
    Followed({"const": {"a": [1, None]}}, ({"a": [1, None]},), ({}, {"a": [1]})),
    Followed({"const": "it's"}, ("it's",), ("its",)),
    Followed({"type": "string", "enum": ["a", 1, None]}, ("a",), (1, None)),
    Followed({"type": "integer", "enum": [1, 2.5, "3", 4.0]}, (1,), (2.5, "3")),
    Followed({"type": "string", "const": "a"}, ("a",), ("b",)),
    Followed(
        {"enum": ["abc", "abcdef", "b"], "maxLength": 3, "pattern": "^a"}, ("abc",), ("abcdef", "b")
    ),
    Followed({"enum": [1, 5, 10], "minimum": 2, "multipleOf": 5}, (5, 10), (1,)),
    Followed(
        {"enum": [[1], [1, 2], ["a"]], "items": {"type": "integer"}, "minItems": 2},
        ([1, 2],),
        ([1], ["a"]),
    ),
    Followed({"enum": [{"a": 1}, {"b": 1}, {}], "required": ["a"]}, ({"a": 1},), ({"b": 1}, {})),
    Followed({"const": 1, "enum": [1, 2]}, (1,), (2,)),
    Followed({"enum": [True, 1, False, 0]}, (True, 1, False, 0), (None,)),
    Followed({"not": {"const": 1}, "enum": [1, 2, 3]}, (2, 3), (1,)),
    Followed({"not": {"enum": ["a", "b"]}, "type": "string"}, ("", "c", "ab", "ba"), ("a", "b")),
    Followed(
        {"not": {"const": 5}, "type": "integer", "minimum": 3, "maximum": 7}, (3, 4, 6, 7), (5,)
    ),
    Followed({"not": {"const": 0}, "type": "number"}, (1, -1, 0.5, -0.25, 123456), (0,)),
    Followed({"not": {"enum": [0, 1]}, "type": "integer"}, (-1, 2, 100), (0, 1)),
    Followed({"not": {"type": "string"}, "type": ["string", "null", "integer"]}, (None, 1), ("a",)),
    Followed({"not": {"type": ["null", "boolean"]}}, ("a", 1, [], {}), (None, True)),
    Followed({"type": "boolean", "not": {"const": True}}, (False,), (True,)),
    Followed({"not": {"pattern": "[0-9]"}}, ("abc", ""), ("a1", "7")),
    Followed({"not": {"not": {"type": "integer"}}}, (1,), ("a",)),
    Followed(
        {**closed(("b",), a=STRING, b=STRING), "not": {"required": ["a"]}},
        ({"b": ""},),
        ({"a": "", "b": ""},),
    ),
    Followed(
        {"type": ["string", "null"], "not": {"anyOf": [{"const": ""}, {"type": "null"}]}},
        ("a",),
        ("", None),
    ),
    Refused({"not": {"properties": {"a": STRING}}}, "#/not"),
    Refused({"type": "array", "not": {"const": [1]}}, "#/not"),
    Refused({"enum": "a"}, "#/enum"),
    Refused({"enum": []}, "nothing at all"),
    Refused({"type": "string", "enum": [1]}, "nothing at all"),
    Refused({"type": "string", "const": None}, "nothing at all"),
    Refused({"not": {}}, "nothing at all"),
    Refused(False, "nothing at all"),
]

NUMBERS = [
    Followed({"type": "integer", "minimum": 3, "maximum": 12}, (3, 9, 10, 12), (2, 13, -3)),
    Followed({"type": "integer", "minimum": -3, "maximum": 2}, (-3, -1, 0, 2), (-4, 3)),
    Followed({"type": "integer", "minimum": -120, "maximum": -7}, (-120, -99, -7), (-6, -121, 7)),
    Followed({"type": "integer", "minimum": 0}, (0, 7, 1000), (-1,)),
    Followed({"type": "integer", "minimum": 17}, (17, 20, 99, 100, 5000), (16, 9, 0, -17)),
    Followed({"type": "integer", "maximum": -5}, (-5, -10, -99999), (-4, 0, 5)),
    Followed({"type": "integer", "maximum": 250}, (250, 0, -1, 99, -1000), (251, 300)),
    Followed({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3}, (1, 2), (0, 3)),
    Followed(
        {"type": "integer", "minimum": 3, "exclusiveMinimum": 7, "maximum": 9}, (8, 9), (7, 3)
    ),
    Followed({"type": "integer", "minimum": 1.5, "maximum": 3.5}, (2, 3), (1, 4)),
    Followed(
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        (0, -9007199254740991, 9007199254740991),
        (9007199254740992,),
    ),
    Followed(
        {"type": "number", "minimum": 0, "maximum": 1},
        (0, 1, 0.5, 0.001, 1.0, 0.999),
        (1.01, -0.1, 2),
    ),
    Followed(
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        (0.5, 0.001, 0.999),
        (0, 1, 0.0, 1.0),
    ),
    Followed(
        {"type": "number", "minimum": -1.5, "maximum": 2.25},
        (-1.5, -1.49, 0, 2.25, 2.2),
        (-1.51, 2.26, 3),
    ),
    Followed({"type": "number", "exclusiveMinimum": 1.25}, (1.26, 1.2501, 2, 30), (1.25, 1.2, 1)),
    Followed({"type": "number", "minimum": 10}, (10, 10.5, 99, 100.25), (9.99, 1, -10)),
    Followed({"type": "number", "maximum": -0.5}, (-0.5, -0.75, -3), (-0.4, 0, 0.5)),
    Followed(
        {"type": "number", "minimum": 99.5, "maximum": 100.5},
        (99.5, 99.99, 100, 100.5),
        (99.49, 100.51, 101),
    ),
    Followed(
        {"type": "number", "minimum": 1e-3, "maximum": 1e3},
        (0.001, 1000, 999.999),
        (0.0009, 1000.001),
    ),
    Followed({"minimum": 3, "maximum": 4}, (3, 3.5, 4), (2, 5, "a")),
    Followed({"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 9}, (5,), (0, 10, 7)),
    Followed({"type": "integer", "multipleOf": 7}, (0, 7, 14, -21, 700), (1, 8, -20)),
    Followed({"type": "integer", "multipleOf": 10, "minimum": 0}, (0, 10, 120), (-10, 5)),
    Followed({"type": "integer", "multipleOf": 4, "exclusiveMinimum": 0}, (4, 8, 100), (0, -4, 6)),
    Followed(
        {"type": "integer", "allOf": [{"multipleOf": 2}, {"multipleOf": 3}]},
        (6, 12, -6, 0),
        (2, 3, 9),
    ),
    Followed({"type": "number", "multipleOf": 1}, (1, 0, -3), (1.5,)),
    Followed({"type": "integer", "multipleOf": 0.5}, (1, 3), ("a",)),
    Followed(
        {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 100},
        (0.25, 99.99, 100),
        (0.125, 100.01),
    ),
    Followed({"type": "number", "enum": [0.5, 0.75, 1], "multipleOf": 0.25}, (0.5, 0.75, 1), ()),
    Refused({"type": "number", "multipleOf": 0.3}, "#/multipleOf"),
    Refused({"type": "integer", "multipleOf": 7, "minimum": 100}, "#/multipleOf"),
    Refused({"type": "integer", "multipleOf": 0}, "#/multipleOf"),
    Refused({"type": "number", "minimum": "1"}, "#/minimum"),
    Refused({"type": "number", "exclusiveMinimum": True, "minimum": 1}, "#/exclusiveMinimum"),
    Refused({"type": "number", "maximum": 1.7976931348623157e308}, "#/maximum"),
    Refused({"type": "integer", "minimum": 5, "maximum": 3}, "`minimum`"),
    Refused({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4}, "nothing at all"),
    Refused({"type": "number", "exclusiveMinimum": 3, "maximum": 3}, "nothing at all"),
]

STRINGS = [
    Followed(
        {"type": "string", "minLength": 2, "maxLength": 4},
        ("ab", "abcd", "🦊🦊", '"\\'),
        ("a", "abcde", "🦊"),
    ),
    Followed({"type": "string", "maxLength": 0}, ("",), ("a",)),
    Followed({"type": "string", "minLength": 1}, ("a", LONG), ("",)),
    Followed({"type": "string", "maxLength": 2500}, ("", "a" * 1499, "a" * 2500), ("a" * 2501,)),
    Followed(
        {"type": "string", "minLength": 2100, "maxLength": 2600},
        ("a" * 2100, "a" * 2351, "a" * 2600),
        ("a" * 2099, "a" * 2601),
    ),
    Followed({"minLength": 2}, ("ab",), ("a", 1)),
    Followed({"type": "string", "pattern": "^[a-z]+$"}, ("a", "xyz"), ("", "A", "a1", "a\n")),
    Followed({"type": "string", "pattern": "abc"}, ("abc", "xabcx", '"abc\\'), ("ab", "acb")),
    Followed({"type": "string", "pattern": "^a"}, ("a", "ab", 'a"'), ("b", "ba")),
    Followed({"type": "string", "pattern": "z$"}, ("z", "az"), ("za", "")),
    Followed(
        {"type": "string", "pattern": r"^\d{3}-\d{4}$"}, ("555-0123",), ("5550123", "55-0123")
    ),
    Followed({"type": "string", "pattern": r"^\w+\s\S+$"}, ("a_1 é", "b\tc"), ("a", "a  ")),
    Followed({"type": "string", "pattern": r"^\\!$"}, ("\\!",), ("!", "\\")),
    Followed({"type": "string", "pattern": r"^\!\-\/\"$"}, ('!-/"',), ("!-/",)),
    Followed(
        {"type": "string", "pattern": '^["\\\\\\]\\-^]+$'}, ('"', "\\", "]", "-", "^"), ("a",)
    ),
    Followed({"type": "string", "pattern": "^[^a-z]$"}, ("A", '"', "\\", "\n", "é"), ("a", "AB")),
    Followed({"type": "string", "pattern": "^.$"}, ("a", '"', "🦊"), ("\n", "ab")),
    Followed({"type": "string", "pattern": "^(cat|dogs?)$"}, ("cat", "dog", "dogs"), ("cats",)),
    Followed(
        {"type": "string", "pattern": "^cat|dog$"}, ("cat", "cats", "hotdog"), ("a cat", "dogs")
    ),
    Followed({"type": "string", "pattern": "(^a$)|(^b$)"}, ("a", "b"), ("ab", "c")),
    Followed(
        {"type": "string", "pattern": "^(?:ab){2,3}$"}, ("abab", "ababab"), ("ab", "abababab")
    ),
    Followed({"type": "string", "pattern": "^(?<year>[12]\\d{3})$"}, ("1999",), ("3999",)),
    Followed({"type": "string", "pattern": "^a{2,}b*c?$"}, ("aa", "aaabbc"), ("a", "aacc")),
    Followed({"type": "string", "pattern": "^a+?$"}, ("a", "aa"), ("",)),
    Followed({"type": "string", "pattern": "^\\u00e9\\x41\\u{1F98A}\\t$"}, ("éA🦊\t",), ("eA",)),
    Followed({"type": "string", "pattern": "^\\p{Lu}\\p{L}+$"}, ("Éa", "Abc"), ("abc", "A1")),
    Followed({"type": "string", "pattern": ""}, ("", "anything")),
    Followed({"type": "string", "pattern": "^$"}, ("",), ("a",)),
    Followed({"type": "string", "pattern": "^x{}[{]$"}, ("x{}{",), ("x",)),
    Followed({"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}, ("abc", "a"), ("abcd", "")),
    Followed(
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 5},
        ("abc", "abcde"),
        ("ab", "abcdef"),
    ),
    Followed(
        {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}]},
        ("az", "abcz"),
        ("a", "z", "za"),
    ),
    Followed({"pattern": "^[0-9]+$"}, ("12",), ("a", 12)),
    # Of a Decimal, as pydantic writes it.
    Followed(
        {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"},
        ("1", "-0.5", "+12.", ".5"),
        ("", "-", ".", "a"),
    ),
    Followed(
        {"type": "string", "pattern": r"^(?=.*[A-Z])(?=.*[0-9]).{8,12}$"},
        ("Password1", "1234567A"),
        ("password1", "Passwords", "Pass1"),
    ),
    Followed({"type": "string", "pattern": r"^(?!foo)\w+"}, ("bar", "fo"), ("foo", "food")),
    Followed(
        {"type": "string", "format": "date"},
        ("2024-02-29", "1999-12-31"),
        ("2023-02-29", "2024-13-01", "2024-04-31"),
    ),
    Followed(
        {"type": "string", "format": "time"},
        ("23:59:59Z", "12:00:00.123+02:00"),
        ("24:00:00Z", "12:00"),
    ),
    Followed(
        {"type": "string", "format": "date-time"},
        ("2024-02-29T12:00:00Z",),
        ("2024-02-29 12:00:00Z",),
    ),
    Followed(
        {"type": "string", "format": "uuid"},
        ("123e4567-e89b-12d3-a456-426614174000",),
        ("123e4567",),
    ),
    Followed(
        {"type": "string", "format": "email"}, ("a.b+c@example.org",), ("a@", "@b", "a b@c.d")
    ),
    Followed(
        {"type": "string", "format": "ipv4"},
        ("127.0.0.1", "255.255.255.255"),
        ("256.0.0.1", "1.2.3"),
    ),
    Followed(
        {"type": "string", "format": "ipv6"},
        ("::1", "2001:db8::8a2e:370:7334", "1:2:3:4:5:6:7:8"),
        ("1:2:3", "g::1"),
    ),
    Followed({"type": "string", "format": "hostname"}, ("example.org", "a-b.c"), ("-a.b", "a..b")),
    Followed(
        {"type": "string", "format": "duration"}, ("P1DT2H", "PT30S", "P2W"), ("P", "1D", "PT")
    ),
    Followed({"type": "string", "format": "uri"}, ("https://a.example", "any text"), (1,)),
    Refused({"type": "string", "pattern": r"a(?=b)"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"^a(?!b)$"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"(?<!a)b"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"(a)\1"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"\bword\b"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"(?i)abc"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"a^b"}, "#/pattern"),
    Refused({"type": "string", "pattern": "(a"}, "#/pattern"),
    Refused({"type": "string", "pattern": "a)"}, "#/pattern"),
    Refused({"type": "string", "pattern": "*a"}, "#/pattern"),
    Refused({"type": "string", "pattern": r"\q"}, "#/pattern"),
    Refused({"type": "string", "pattern": "[z-a]"}, "#/pattern"),
    Refused({"type": "string", "pattern": "[a"}, "#/pattern"),
    Refused({"type": "string", "pattern": "^[a-z]{5,1}$"}, "at least `5`"),
    Refused({"type": "string", "pattern": 5}, "#/pattern"),
    Refused({"type": "string", "minLength": -1}, "#/minLength"),
    Refused({"type": "string", "maxLength": "3"}, "#/maxLength"),
    Refused({"type": "string", "minLength": 10**15}, "#/minLength"),
    Refused({"type": "string", "minLength": 5, "maxLength": 3}, "`minLength`"),
    Refused({"type": "string", "pattern": "^abc$", "maxLength": 2}, "nothing at all"),
]

ARRAYS = [
    Followed({"type": "array", "items": INTEGER}, ([], [1], [1, 2, 3]), (["a"], [1, None])),
    Followed({"items": INTEGER}, ([], [1]), (["a"], 1)),
    Followed(
        {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 3},
        ([1, 2], [1, 2, 3]),
        ([1], [1, 2, 3, 4], []),
    ),
    Followed({"type": "array", "minItems": 1}, ([1], ["a", None]), ([],)),
    Followed({"type": "array", "items": INTEGER, "maxItems": 0}, ([],), ([1],)),
    Followed(
        {"type": "array", "items": {"const": 1}, "maxItems": 2200}, ([1] * 2200, []), ([1] * 2201,)
    ),
    Followed(
        {"type": "array", "prefixItems": [INTEGER, STRING]}, ([], [1], [1, "a"]), (["a"], [1, 2])
    ),
    Followed(
        {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
        ([1, "a"],),
        ([1], []),
    ),
    Followed(
        {"type": "array", "prefixItems": [{"type": "boolean"}], "items": INTEGER},
        ([True], [True, 1, 2], []),
        ([1], [True, "a"]),
    ),
    Followed(
        {"type": "array", "prefixItems": [INTEGER], "items": False, "minItems": 1},
        ([1],),
        ([], [1, 2]),
    ),
    Followed(
        {"type": "array", "prefixItems": [INTEGER], "minItems": 2}, ([1, "a"], [1, 2, 3]), ([1],)
    ),
    Followed(
        {"type": "array", "items": [INTEGER, STRING], "additionalItems": False, "minItems": 2},
        ([1, "a"],),
        ([1], [1, "a", 2]),
    ),
    Followed(
        {"type": "array", "items": [INTEGER], "additionalItems": STRING},
        ([1, "a", "b"], []),
        (["a"], [1, 2]),
    ),
    Followed(
        {"type": "array", "items": {"type": "array", "items": INTEGER, "minItems": 1}},
        ([[1], [2, 3]], []),
        ([[]], [1]),
    ),
    Followed(
        {"type": "array", "items": COLOURS, "uniqueItems": True},
        ([], ["red"], ["blue", "red", "green"]),
        (["red", "red"],),
    ),
    Followed(
        {"type": "array", "items": COLOURS, "uniqueItems": True, "minItems": 2, "maxItems": 2},
        (["red", "blue"],),
        (["red"], ["red", "green", "blue"]),
    ),
    Followed(
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 1},
        ([True, False], [False]),
        ([True, True], []),
    ),
    Followed(
        {"type": "array", "items": STRING, "uniqueItems": True, "maxItems": 1},
        (["a"], []),
        (["a", "b"],),
    ),
    Followed({"type": "array", "items": STRING, "uniqueItems": False}, (["a", "a"],)),
    Followed(
        {"allOf": [{"type": "array", "items": {"minimum": 3}}, {"items": INTEGER, "maxItems": 2}]},
        ([3, 4],),
        ([2], [3, 4, 5]),
    ),
    Refused({"type": "array", "items": STRING, "uniqueItems": True}, "#/uniqueItems"),
    Refused({"type": "array", "contains": INTEGER}, "#/contains"),
    Refused({"type": "array", "items": 3}, "#/items"),
    Refused({"type": "array", "unevaluatedItems": False}, "#/unevaluatedItems"),
    Refused({"type": "array", "items": {}, "minItems": 5, "maxItems": 3}, "`minItems`"),
    Refused(
        {"type": "array", "items": COLOURS, "uniqueItems": True, "minItems": 4}, "nothing at all"
    ),
    Refused({"type": "array", "items": False, "minItems": 1}, "nothing at all"),
]

OBJECTS = [
    Followed(
        closed(a=STRING, b=INTEGER),
        ({"a": "", "b": 1},),
        ({"a": ""}, {"b": 1, "a": ""}, {"a": "", "b": 1, "c": 1}),
    ),
    Followed(
        closed((), a=STRING, b=INTEGER, c={"type": "null"}),
        ({}, {"a": ""}, {"b": 1}, {"a": "", "c": None}, {"c": None}),
        ({"d": 1}, {"a": 1}),
    ),
    Followed(
        closed(("b",), a=STRING, b=INTEGER, c=STRING),
        ({"b": 1}, {"a": "", "b": 1}, {"b": 1, "c": ""}),
        ({"a": ""}, {}),
    ),
    Followed({"properties": {"a": INTEGER}}, ({"a": 1}, {}), ({"a": "x"}, 1)),
    Followed({"type": "object", "properties": {}}, ({},)),
    Followed(
        {"type": "object", "required": ["id"]}, ({"id": 1}, {"id": None, "x": []}), ({}, {"x": 1})
    ),
    Followed(
        {"type": "object", "properties": {"a": INTEGER}, "required": ["a", "b"]},
        ({"a": 1, "b": []},),
        ({"a": 1},),
    ),
    Followed(
        {"type": "object", "additionalProperties": INTEGER}, ({}, {"a": 1, "b": 2}), ({"a": "x"},)
    ),
    Followed(
        {"type": "object", "properties": {"a": STRING}, "additionalProperties": INTEGER},
        ({"a": "x", "b": 1}, {"b": 1}, {"aa": 1}, {'"': 1}),
        ({"a": 1}, {"b": "x"}),
    ),
    Followed(
        {
            "type": "object",
            "properties": {"a": STRING},
            "additionalProperties": True,
            "required": ["a"],
        },
        ({"a": "x", "b": []},),
        ({"b": 1},),
    ),
    Followed({"type": "object", "additionalProperties": False}, ({},), ({"a": 1},)),
    Followed(
        {"type": "object", "additionalProperties": COLOURS, "minProperties": 1},
        ({"a": "red"},),
        ({},),
    ),
    Followed(
        {"type": "object", "additionalProperties": INTEGER, "maxProperties": 2},
        ({}, {"a": 1, "b": 1}),
        ({"a": 1, "b": 1, "c": 1},),
    ),
    Followed(
        {**closed((), a=INTEGER, b=INTEGER, c=INTEGER), "minProperties": 2},
        ({"a": 1, "b": 1}, {"b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}),
        ({"a": 1}, {}),
    ),
    Followed(
        {**closed((), a=INTEGER, b=INTEGER, c=INTEGER), "maxProperties": 1},
        ({}, {"b": 1}),
        ({"a": 1, "b": 1},),
    ),
    Followed(
        {"type": "object", "patternProperties": {"^n_": INTEGER}, "additionalProperties": False},
        ({}, {"n_a": 1}),
        ({"a": 1}, {"n_a": "x"}),
    ),
    Followed(
        {"type": "object", "patternProperties": {"^n_": INTEGER}, "additionalProperties": STRING},
        ({"n_a": 1, "b": "x"},),
        ({"n_a": "x"}, {"b": 1}),
    ),
    Followed(
        {
            "type": "object",
            "properties": {"n_a": {"minimum": 5}},
            "patternProperties": {"^n_": INTEGER},
        },
        ({"n_a": 5, "n_b": 1},),
        ({"n_a": 4}, {"n_a": 5.5}),
    ),
    Followed(
        {
            "type": "object",
            "patternProperties": {"a": INTEGER, "b": {"minimum": 3}},
            "additionalProperties": False,
        },
        ({"a": 1, "b": 3, "ab": 4},),
        ({"ab": 1}, {"c": 1}),
    ),
    Followed(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z]+$"},
            "additionalProperties": INTEGER,
        },
        ({"ab": 1}, {}),
        ({"A": 1},),
    ),
    Followed(
        {
            "type": "object",
            "propertyNames": {"allOf": [{"minLength": 5}, {"maxLength": 2}]},
            "additionalProperties": INTEGER,
        },
        ({},),
        ({"ab": 1}, {"abcde": 1}),
    ),
    Followed(
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": INTEGER},
        ({"a": 1}, {"b": 2, "a": 1}),
        ({"c": 1},),
    ),
    Followed(
        {
            "type": "object",
            "propertyNames": {"maxLength": 1},
            "properties": {"a": INTEGER, "long": INTEGER},
        },
        ({"a": 1}, {}),
        ({"long": 1},),
    ),
    Followed(
        closed(**{'quo"te': INTEGER, "back\\slash": INTEGER, "é": INTEGER, "": INTEGER}),
        ({'quo"te': 1, "back\\slash": 1, "é": 1, "": 1},),
    ),
    Followed(closed((), a=False, b=INTEGER), ({"b": 1}, {}), ({"a": 1},)),
    Followed(closed((), a={"type": "string", "enum": [1]}, b=INTEGER), ({"b": 1}, {}), ()),
    Followed(
        closed(outer=closed(inner=closed(x=INTEGER))),
        ({"outer": {"inner": {"x": 1}}},),
        ({"outer": {"inner": {}}},),
    ),
    Refused({"type": "object", "properties": []}, "#/properties"),
    Refused({"type": "object", "properties": {"a": 1}}, "#/properties/a"),
    Refused(closed(t={"type": "string", "pattern": "(?=a)"}), "#/properties/t/pattern"),
    Refused(closed(**{"a/b": {"type": "string", "pattern": "(?=a)"}}), "#/properties/a~1b/pattern"),
    Refused({"type": "object", "required": "a"}, "#/required"),
    Refused({"type": "object", "minProperties": 3}, "#/minProperties"),
    Refused({"type": "object", "dependentRequired": {"a": ["b"]}}, "#/dependentRequired"),
    Refused({"type": "object", "unevaluatedProperties": False}, "#/unevaluatedProperties"),
    Refused(
        {"type": "object", "patternProperties": {"(?!a)": INTEGER}}, "#/patternProperties/(?!a)"
    ),
    Refused({"if": {"type": "string"}, "then": {"minLength": 1}}, "#/if"),
    Refused(
        {
            "type": "object",
            "properties": {"a": INTEGER},
            "additionalProperties": False,
            "required": ["b"],
        },
        "nothing at all",
    ),
    Refused(
        {
            "type": "object",
            "properties": {"a": INTEGER},
            "additionalProperties": False,
            "minProperties": 2,
        },
        "nothing at all",
    ),
]

TREE = {
    "$defs": {
        "node": closed(value=INTEGER, children={"type": "array", "items": {"$ref": "#/$defs/node"}})
    },
    "$ref": "#/$defs/node",
}
LINKED = closed(value=INTEGER, next={"anyOf": [{"$ref": "#"}, {"type": "null"}]})
SHAPES = {
    "oneOf": [
        closed(kind={"const": "circle"}, radius={"type": "number"}),
        closed(kind={"const": "square"}, side={"type": "number"}),
    ],
    "discriminator": {"propertyName": "kind"},
}
COMBINED = [
    Followed({"anyOf": [STRING, INTEGER]}, ("a", 1), (None, 1.5)),
    Followed(
        {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, ("ab", None), ("abc", 1)
    ),
    Followed({"oneOf": [STRING, {"type": "array", "items": STRING}]}, ("a", ["a"]), (1, [1])),
    Followed(
        {"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 5}]},
        (3, 5),
        (4,),
    ),
    Followed({"oneOf": [{"const": "a"}, {"const": "b"}]}, ("a", "b"), ("c",)),
    Followed(
        {"oneOf": [closed(a=INTEGER), closed(b=INTEGER)]},
        ({"a": 1}, {"b": 1}),
        ({}, {"a": 1, "b": 1}),
    ),
    Followed(
        SHAPES,
        ({"kind": "circle", "radius": 1.5}, {"kind": "square", "side": 2}),
        ({"kind": "circle", "side": 1},),
    ),
    Followed({"allOf": [{"type": "string"}, {"maxLength": 4}]}, ("abcd",), ("abcde", 1)),
    Followed(
        {"allOf": [closed(("a",), a=INTEGER, b=STRING), {"required": ["b"]}]},
        ({"a": 1, "b": ""},),
        ({"a": 1},),
    ),
    Followed(
        {
            "allOf": [
                {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
                {"type": "object", "properties": {"b": INTEGER}, "required": ["b"]},
            ]
        },
        ({"a": 1, "b": 2},),
        ({"a": 1}, {"b": 1}),
    ),
    Followed(
        {
            "allOf": [
                {"properties": {"a": {"minimum": 2}}},
                {"properties": {"a": {"maximum": 4}}, "required": ["a"]},
            ],
            "type": "object",
        },
        ({"a": 3},),
        ({"a": 5}, {}),
    ),
    Followed({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]}, (2, 3), (1, 4)),
    Followed(
        {
            **closed(("a",), a=INTEGER, b=INTEGER),
            "anyOf": [{"required": ["b"]}, {"properties": {"a": {"const": 1}}}],
        },
        ({"a": 1}, {"a": 5, "b": 1}),
        ({"a": 5},),
    ),
    Followed(
        {"type": "string", "anyOf": [{"minLength": 3}, {"const": ""}]}, ("abc", ""), ("ab", 1)
    ),
    Followed({"anyOf": [INTEGER, STRING], "enum": [1, "a", None]}, (1, "a"), (None,)),
    Followed({"anyOf": [{"anyOf": [INTEGER, {"type": "null"}]}, STRING]}, (1, None, "a"), ([],)),
    Followed({"anyOf": [{"minimum": 1}, {"maximum": -1}], "type": "integer"}, (1, -1), (0,)),
    Followed({"anyOf": [STRING, False]}, ("a",), (1,)),
    Followed(
        {
            "type": "integer",
            "anyOf": [{"minimum": 3}, {"multipleOf": 2}],
            "allOf": [{"maximum": 5}, {"minimum": -4}],
        },
        (3, 5, 0, -2),
        (-1, 7, 1),
    ),
    Refused(
        {
            "type": "integer",
            "anyOf": [{"minimum": 1}, {"multipleOf": 2}],
            "allOf": [{"maximum": 5}],
        },
        "#/anyOf/1/multipleOf",
    ),
    Followed(
        TREE,
        ({"value": 1, "children": [{"value": 2, "children": []}]},),
        ({"value": 1}, {"value": 1, "children": [1]}),
    ),
    Followed(LINKED, ({"value": 1, "next": {"value": 2, "next": None}},), ({"value": 1},)),
    Followed(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": INTEGER}, "$ref": "#/$defs/a"}, (1,), ("a",)
    ),
    Followed({"definitions": {"a/b~c%": STRING}, "$ref": "#/definitions/a~1b~0c%25"}, ("a",), (1,)),
    Followed(
        {"$defs": {"s": STRING}, "type": "array", "items": {"$ref": "#/$defs/s", "maxLength": 2}},
        (["ab"],),
        (["abc"],),
    ),
    Followed(
        {"properties": {"a": INTEGER, "b": {"$ref": "#/properties/a"}}, "type": "object"},
        ({"a": 1, "b": 2},),
        ({"b": "x"},),
    ),
    Followed(
        {
            "$defs": {
                "json": {
                    "anyOf": [
                        {"type": "null"},
                        {"type": "array", "items": {"$ref": "#/$defs/json"}},
                        {"type": "object", "additionalProperties": {"$ref": "#/$defs/json"}},
                    ]
                }
            },
            "$ref": "#/$defs/json",
        },
        (None, [[None]], {"a": {"b": []}}),
        (1,),
    ),
    Refused({"$ref": "#"}, "#/$ref"),
    Refused(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "$ref",
    ),
    Refused(
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, STRING]}}, "$ref": "#/$defs/a"}, "$ref"
    ),
    Refused({"$ref": "https://a.example/schema.json"}, "#/$ref"),
    Refused({"$ref": "#/$defs/none"}, "#/$ref"),
    Refused({"$ref": 5}, "#/$ref"),
    Refused({"anyOf": []}, "#/anyOf"),
    Refused({"anyOf": [1]}, "#/anyOf/0"),
    Refused({"allOf": "a"}, "#/allOf"),
    Refused({"oneOf": [INTEGER, {"type": "number"}]}, "#/oneOf"),
    Refused(
        {"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]},
        "#/oneOf",
    ),
    Refused({"allOf": [STRING, INTEGER]}, "nothing at all"),
    Refused({"allOf": [{"enum": [1]}, {"enum": [2]}]}, "nothing at all"),
    Refused(
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "nothing at all"
    ),
    Refused({"$dynamicRef": "#a"}, "#/$dynamicRef"),
    Refused(closed(a={"$id": "https://b.example", "type": "string"}), "#/properties/a/$id"),
]

ALL = [*TYPES, *VALUES, *NUMBERS, *STRINGS, *ARRAYS, *OBJECTS, *COMBINED]
