"""What the docs say can be done: links lead somewhere, commands exist, examples are Python."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import sphere_edge
from sphere_edge import cli
from tests import groups

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "training/README.md"])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of `page` in `language`."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [content for name, content in found if name == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    waiting, reached = [ROOT / "README.md"], set()
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            file = (page.parent / target.partition("#")[0]).resolve()
            waiting.extend(sorted(file.glob("*.md")) if file.is_dir() else [file])
    assert {page for page in PAGES if "decisions" not in page.parts} <= reached


def shown_commands() -> list[str]:
    """Every `$ sphere-edge …` line of the docs, without its comment."""
    lines = [
        line for page in PAGES for block in blocks(page, "console") for line in block.split("\n")
    ]
    shown = [line.partition("  #")[0][2:] for line in lines if line.startswith("$ sphere-edge ")]
    return sorted({re.split(r" [|<>] ", line)[0].strip() for line in shown})


def test_the_commands_that_messages_name_exist() -> None:
    named = set()
    for path in ROOT.glob("sphere_edge/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= set(re.findall(r"`sphere-edge ([a-z][a-z -]*[a-z])", node.value))
    assert len(named) > 10
    for words in named:
        command: Any = typer.main.get_command(cli.app())
        for word in words.split():
            children = getattr(command, "commands", None)
            if not children or word.isupper():
                break
            assert word in children, words
            command = children[word]


def test_the_commands_that_are_shown_exist_with_their_options() -> None:
    app: Any = typer.main.get_command(cli.app())
    shown = shown_commands()
    assert len(shown) > 100
    for line in shown:
        command, words = app, shlex.split(line)[1:]
        # `bench BUNDLE` is short for `bench run BUNDLE`.
        if words[0] == "bench" and words[1] not in ("run", "compare", "matrix"):
            words.insert(1, "run")
        while (children := getattr(command, "commands", None)) and not words[0].startswith("-"):
            assert words[0] in children, line
            command = children[words.pop(0)]
            assert not command.hidden, line
        known = {"--help"}
        for parameter in command.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
        options = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
        assert options <= known, (line, options - known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_examples_compile_and_import_what_is_there(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
        for names in re.findall(r"^from sphere_edge import (.+)$", block, flags=re.MULTILINE):
            for name in names.split(","):
                assert hasattr(sphere_edge, name.strip()), name


def test_every_group_of_tests_is_described() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("\n") if line.startswith("| `")]
    described = {name for row in rows for name in re.findall("`([a-z-]+)`[,:]", row)}
    assert described == set(groups.GROUPS)


def test_decisions_are_numbered_one_after_the_other() -> None:
    pages = sorted((ROOT / "docs" / "decisions").iterdir())
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04}-"), page.name
        assert page.read_text(encoding="utf-8").startswith(f"# {number:04}: "), page.name


def test_the_pages_that_the_code_names_exist() -> None:
    patterns = ("sphere_edge/**/*.py", "native/**/*.[hc]*", "tests/**/*.py", "Makefile")
    for path in (path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()):
        for name in re.findall(r"(?<!/)\bdocs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path}: {name}"
