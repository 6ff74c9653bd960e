"""The examples in C of the pages about texts and chats are compiled, linked and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sphere_edge import packaging, resources
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from tests import made_bundles, runtimes

DOCS = resources.folder("native").parent / "docs"
# What the pages leave to the reader. Every call is checked; images are for other models than this.
BEFORE = r"""
#include <math.h>
#include <sphere_edge.h>
#include <stdio.h>
#include <stdlib.h>

static se_text *text;
static const char *messages = "[{\"role\": \"user\", \"content\": \"What colour is the sky?\"}]";
static const uint8_t rgb[3 * 4 * 4];
static const uint32_t width = 4, height = 4;

static void ran(se_status status, const char *what) {
  if (status == SE_OK || (status == SE_UNSUPPORTED && MAY_BE_UNSUPPORTED)) return;
  fprintf(stderr, "%s: %d: %s\n", what, (int)status, se_last_error());
  exit(1);
}

#define se_text_open(...) ran(se_text_open(__VA_ARGS__), "se_text_open")
#define se_text_default_options(...) ran(se_text_default_options(__VA_ARGS__), "default_options")
#define se_text_chat(...) ran(se_text_chat(__VA_ARGS__), "se_text_chat")
#define se_text_generate(...) ran(se_text_generate(__VA_ARGS__), "se_text_generate")
#define se_text_embed(...) ran(se_text_embed(__VA_ARGS__), "se_text_embed")
#define se_text_save(...) ran(se_text_save(__VA_ARGS__), "se_text_save")
#define se_text_restore(...) ran(se_text_restore(__VA_ARGS__), "se_text_restore")
"""
ON_DELTA = """
static bool on_delta(const se_text_delta *delta, void *user_data) {
  (void)user_data;
  fwrite(delta->text, 1, delta->text_bytes, stdout);
  return true;
}
"""


def examples() -> list[tuple[str, str]]:
    found = []
    for page in ("text", "chat"):
        content = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```c\n(.*?)^```", content, flags=re.MULTILINE | re.DOTALL)
        found += [(f"{page}-{number}", block) for number, block in enumerate(blocks, 1)]
    return found


def program(block: str) -> str:
    """Functions of the example stay functions; the rest becomes the body of `main`."""
    functions = re.findall(r"^static .*?^}\n", block, flags=re.MULTILINE | re.DOTALL)
    for function in functions:
        block = block.replace(function, "")
    has_images = "images" in block
    if not any("on_delta(" in function for function in functions):
        functions.insert(0, ON_DELTA)
    opens = "" if "se_text_open(" in block else 'se_text_open("dist/tiny.host", NULL, &text);'
    # Something to save.
    talks = "se_text_chat(text, messages, NULL, NULL, NULL, NULL);" if "_save" in block else ""
    return "\n".join(
        (
            f"#define MAY_BE_UNSUPPORTED {int(has_images)}",
            BEFORE,
            *functions,
            "int main(void) {",
            "(void)messages, (void)rgb, (void)width, (void)height, (void)on_delta;",
            opens,
            talks,
            block,
            "se_text_close(text);",
            "return 0; }",
        )
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `dist/tiny.host` is."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "dist").mkdir()
    (folder / "dist" / "tiny.host").symlink_to(made_bundles.made(packaging.TINY).folder)
    return folder


@pytest.mark.parametrize(("name", "block"), examples(), ids=[name for name, _ in examples()])
def test_an_example_in_c_runs(name: str, block: str, place: Path) -> None:
    # With tools, which the library that is made first has not.
    library = runtimes.here().folder / "lib"
    source, made = place / f"{name}.c", place / name
    source.write_text(program(block), encoding="utf-8")
    command = [compilers.zig(), "cc", "-std=c99", "-fno-sanitize=all", "-Wall", "-Wextra"]
    command += ["-Werror", f"-I{resources.folder('native') / 'include'}", source, "-o", made]
    linked = [f"-L{library}", "-lsphere_edge", "-lm", f"-Wl,-rpath,{library}"]
    run([*command, *linked], timeout_s=900, env=compilers.environment())
    run([made], timeout_s=600, cwd=place)
