"""What a C program sees of the native core: functions, constants and struct layouts of the header.

    python -m tests.c_interface

writes tests/data/c_interface.txt, with which a test compares.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import resources
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

HEADER = resources.folder("native") / "include" / "sphere_edge.h"
# As the first release has it: what programs that are compiled against it rely on.
FIRST_HEADER = resources.folder("native") / "tests" / "interface_0.1" / "sphere_edge.h"
DUMP = Path(__file__).parent / "data" / "c_interface.txt"


@dataclass(frozen=True)
class Field:
    """Where a field of a struct lies, in bytes on a 64-bit system."""

    declaration: str
    offset: int
    size: int


@dataclass(frozen=True)
class Interface:
    """Declarations by name, without comments and with single spaces."""

    functions: dict[str, str]
    types: dict[str, str]
    constants: dict[str, int]
    structs: dict[str, list[Field]]
    sizes: dict[str, int]


def read(header: Path) -> Interface:
    """What `header` declares."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    functions = {
        name: _spaced(declaration)
        for declaration, name in re.findall(r"^SE_API ([^;]*?\b(se_\w+)\([^;]*);", text, re.M)
    }
    types = {
        name: _spaced(declaration)
        for declaration, name in re.findall(
            r"^typedef ([^;{]*?(?:\(\*|\b)(se_\w+)\)?(?:\([^;]*\))?);", text, re.M
        )
    }
    names = re.findall(r"\b(SE_[A-Z_\d]+) = -?\d", text)
    names += re.findall(r"^#define (SE_\w+) [\dx]", text, re.M)
    bodies = re.findall(r"^typedef struct (se_\w+) \{(.*?)\} \1;", text, re.M | re.DOTALL)
    declared = {name: [_spaced(one) for one in body.split(";")[:-1]] for name, body in bodies}
    questions = list(names)
    for struct, fields in declared.items():
        questions.append(f"sizeof({struct})")
        for field in map(_name, fields):
            questions += [f"offsetof({struct}, {field})", f"sizeof((({struct} *)0)->{field})"]
    answers = iter(asked_of_the_compiler(header, questions))
    constants = {name: next(answers) for name in names}
    structs, sizes = {}, {}
    for struct, fields in declared.items():
        sizes[struct] = next(answers)
        structs[struct] = [Field(one, next(answers), next(answers)) for one in fields]
    return Interface(functions, types, constants, structs, sizes)


def asked_of_the_compiler(header: Path, questions: list[str]) -> list[int]:
    """The values of C expressions, from a program that is compiled with `header` and run."""
    lines = "".join(f'  printf("%lld\\n", (long long)({question}));\n' for question in questions)
    with tempfile.TemporaryDirectory() as work:
        source, program = Path(work) / "ask.c", Path(work) / "ask"
        source.write_text(
            "#include <stddef.h>\n#include <stdio.h>\n#include <sphere_edge.h>\n"
            f"int main(void) {{\n{lines}  return 0;\n}}\n"
        )
        command = [compilers.zig(), "cc", "-std=c99", "-I", header.parent, "-o", program, source]
        run(command, timeout_s=300, env=compilers.environment())
        return [int(line) for line in run([program], timeout_s=300).stdout.split()]


def described(interface: Interface) -> str:
    """One line for each declaration, in the order of the header."""
    lines = [f"constant {name} = {value}" for name, value in interface.constants.items()]
    lines += [f"type {declaration}" for declaration in interface.types.values()]
    for name, fields in interface.structs.items():
        lines.append(f"struct {name}: {interface.sizes[name]} bytes")
        lines += [f"  {one.offset:3} +{one.size:<2} {one.declaration}" for one in fields]
    lines += [f"function {declaration}" for declaration in interface.functions.values()]
    return "\n".join(lines) + "\n"


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _name(declaration: str) -> str:
    found = re.search(r"(\w+)(?:\[\d+\])?$", declaration)
    assert found is not None, declaration
    return found[1]


if __name__ == "__main__":
    DUMP.write_text(described(read(HEADER)))
