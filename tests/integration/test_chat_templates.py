"""Chat templates as models publish them: the core writes what Jinja itself writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sphere_edge import TextManager
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.toolchain import sources
from tests import random_gguf

CONVERSATIONS: dict[str, list[dict[str, str]]] = {
    "one question": [{"role": "user", "content": 'Hello <b> & "you"\n new'}],
    "a system message": [
        {"role": "system", "content": "Be brief. é"},
        {"role": "user", "content": " Hi "},
    ],
    "an answer that thought": [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nB "},
        {"role": "user", "content": "C"},
    ],
    "all of it": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ],
}
THINKING = ({"enable_thinking": False}, {"enable_thinking": True}, {"reasoning_effort": "high"})


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks what the model said: only its inside."""

    tags = frozenset({"generation"})

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def as_transformers_do(source: str) -> jinja2.Template:
    """Its environment: transformers, `utils/chat_template_utils.py`."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = lambda value, **how: json.dumps(
        value, **{"ensure_ascii": False, **how}
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda how: datetime.now().strftime(how)
    return environment.from_string(source)


@pytest.fixture(scope="module")
def templates() -> dict[str, str]:
    """Some 70 models' templates: llama.cpp has them in its sources, for tests of its own."""
    folder = sources.fetch("llama_cpp_tests") / "models/templates"
    found = {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.jinja"))}
    assert len(found) > 50
    return found


def opened(folder: Path, template: str) -> TextManager:
    folder.mkdir(exist_ok=True)
    return TextManager.open(random_gguf.write(folder / "model.gguf", chat_template=template))


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tokens that templates name."""
    source = "{{ bos_token }} {{ eos_token }}"
    with opened(tmp_path_factory.mktemp("special"), source) as text:
        written = text.render_chat([{"role": "user", "content": ""}])
    return dict(zip(("bos_token", "eos_token"), written.split(" "), strict=True))


def rendered_by_jinja(
    template: jinja2.Template, messages: list[dict[str, str]], **more: Any
) -> str | None:
    """None where it refuses."""
    try:
        return template.render(messages=messages, add_generation_prompt=True, **more)
    except (jinja2.TemplateError, TypeError):
        return None


def test_published_templates_write_what_jinja_writes(templates, special, tmp_path):
    compared = 0
    for name, source in templates.items():
        reference = as_transformers_do(source)
        with opened(tmp_path, source) as text:
            for what, messages, more in asked():
                want = rendered_by_jinja(reference, messages, **special, **more)
                # What Jinja refuses, an undefined function say, ours may let pass.
                if want is None:
                    continue
                got = text.render_chat(messages, chat_template_kwargs=more)
                assert got == want, f"{name}, {what}, {more}"
                compared += 1
    assert compared > 400


def asked() -> Iterator[tuple[str, list[dict[str, str]], dict[str, Any]]]:
    for what, messages in CONVERSATIONS.items():
        yield what, messages, {}
    for more in THINKING:
        yield "all of it", CONVERSATIONS["all of it"], more


LOOP = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        *(
            f"[{LOOP}]",
            f"\n{LOOP}",
            "#{# c #}x",
            f"x {LOOP}",
            f"é{LOOP}",
            f"x\n  {LOOP}",
        ),
        *(
            f"  {LOOP}",
            f"\t{LOOP}",
            f" \n {LOOP}",
            LOOP,
            f"\n\n{LOOP}",
            "x{{ messages[0].content }}",
        ),
    ],
)
def test_what_stands_before_the_first_block_is_kept_as_jinja_keeps_it(source, tmp_path):
    messages = [{"role": "user", "content": "Hi"}]
    want = as_transformers_do(source).render(messages=messages)
    with opened(tmp_path, source) as text:
        assert text.render_chat(messages) == want


def test_what_the_template_reads_beside_the_messages_is_handed_on(tmp_path):
    source = "{{ messages[0].content }} {{ a }} {{ b.c[1] }} {{ d is none }} {{ e + 0.5 }}"
    with opened(tmp_path, source) as text:
        more = {"a": False, "b": {"c": [1, "two"]}, "d": None, "e": 2.25}
        messages = [{"role": "user", "content": "Hi"}]
        assert text.render_chat(messages, chat_template_kwargs=more) == "Hi False two True 2.75"
        with pytest.raises(InvalidArgumentError, match="sets `messages`, which the runtime sets"):
            text.render_chat(messages, chat_template_kwargs={"messages": []})
