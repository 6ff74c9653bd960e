"""native/src/README.md says which folder of the C++ core may include which; here it is checked."""

import re
from pathlib import Path

from sphere_edge import resources

SOURCES = resources.folder("native") / "src"
ROW = re.compile(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
C_STRUCT = re.compile(r"\bse_(?:text|audio|image|kernel)_\w+")
# Status codes and log levels are the same numbers in C and C++.
KNOW_THE_HEADER = {"base/status.h", "base/log.h"}
INCLUDE = re.compile(r'^\s*#\s*include "([^"]+)"', re.MULTILINE)


def files() -> list[Path]:
    """Those of ours: headers that stand in for a vendor's lie in folders of their own."""
    code = (path for path in SOURCES.rglob("*") if path.suffix in {".h", ".c", ".cpp"})
    inside = ((path.relative_to(SOURCES), path) for path in code)
    theirs = ("tvm/runtime/include/", "tvm/runtime/support/")
    return [
        path
        for short, path in inside
        if not short.as_posix().startswith(theirs) and "_headers/" not in short.as_posix()
    ]


def allowed() -> dict[str, set[str]]:
    rows = ROW.findall((SOURCES / "README.md").read_text())
    return {folder: {folder, *re.findall(r"\w+", others)} for folder, others in rows}


def included(path: Path) -> list[str]:
    """Files of ours that this one includes, from native/src on."""
    return [name for name in INCLUDE.findall(path.read_text()) if (SOURCES / name).is_file()]


def test_every_folder_has_a_row() -> None:
    assert set(allowed()) == {path.name for path in SOURCES.iterdir() if path.is_dir()}
    assert not [path for path in SOURCES.glob("*") if path.suffix in {".h", ".c", ".cpp"}]


def test_rows_name_earlier_rows_only_so_there_is_no_circle_of_folders() -> None:
    earlier: set[str] = set()
    for folder, others in allowed().items():
        assert others - {folder} <= earlier, folder
        earlier.add(folder)


def test_folders_include_only_what_their_row_allows() -> None:
    rows = allowed()
    wrong = [
        f"{path.relative_to(SOURCES)} includes {name}"
        for path in files()
        for name in included(path)
        if name.split("/")[0] not in rows[path.relative_to(SOURCES).parts[0]]
    ]
    assert not wrong


def test_includes_are_written_from_the_root() -> None:
    """One spelling per header: a path relative to the file's own folder is a second one."""
    wrong = [
        f"{path.relative_to(SOURCES)} includes {name}"
        for path in files()
        for name in INCLUDE.findall(path.read_text())
        if (path.parent / name).is_file()
    ]
    assert not wrong


def test_no_header_includes_itself_through_others() -> None:
    headers = {path.relative_to(SOURCES).as_posix(): included(path) for path in files()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way, name))
        if name in done:
            return
        for other in headers.get(name, []):
            visit(other, (*way, name))
        done.add(name)

    for name in headers:
        visit(name, ())


def test_only_the_api_folder_knows_the_c_structs() -> None:
    for path in files():
        name = path.relative_to(SOURCES).as_posix()
        if name.startswith("api/"):
            continue
        code = re.sub(r"//.*", "", path.read_text())
        assert not C_STRUCT.search(code), name
        assert name in KNOW_THE_HEADER or "sphere_edge.h" not in INCLUDE.findall(code), name
