"""Builds wheels that hold finished runtimes, so that whoever installs them needs no compiler.

    python wheels/build.py                     # the wheel for this machine's architecture
    python wheels/build.py x86_64 aarch64 runtimes
    python wheels/build.py x86_64 --targets linux-x86-64-vnni

`x86_64` and `aarch64` are wheels of sphere-edge for Linux; `runtimes` is sphere-edge-runtimes, with
what `deploy` sends to devices. What is compiled already is taken from the cache.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import __version__, console, errors
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, native, prebuilt, sources, targets
from sphere_edge.toolchain.targets import Target

ROOT = Path(__file__).resolve().parent.parent
# CPU levels of each wheel of sphere-edge: the best that the CPU has is taken when it is used.
LEVELS = {
    "x86_64": ("linux-x86-64-v3", "linux-x86-64-vnni"),
    "aarch64": ("linux-arm64-dotprod", "linux-arm64-i8mm"),
}
# The oldest glibc that the runtimes and TVM's wheels run with.
TAGS = {name: f"py3-none-manylinux_2_28_{name}" for name in LEVELS}
# Devices over SSH, phones over adb, and PCs. In a wheel of their own, for not everybody deploys.
DEVICES = (
    *("linux-arm64", "linux-arm64-dotprod", "linux-arm64-i8mm"),
    *("musl-arm64-dotprod", "musl-arm64-i8mm"),
    *("linux-x86-64-v3", "linux-x86-64-vnni"),
)
# The package index takes no larger file unless asked.
MOST_BYTES = 100_000_000
_PIP_TIMEOUT_S = 1800.0


def main(words: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheels", nargs="*", metavar="WHEEL", help=", ".join((*LEVELS, "runtimes")))
    parser.add_argument("--targets", help="of the usual ones only these, as NAME,NAME")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "wheels")
    given = parser.parse_args(words)
    for name in given.wheels or [platform.machine()]:
        if name not in (*LEVELS, "runtimes"):
            parser.error(f"no wheel `{name}`; choose from {', '.join((*LEVELS, 'runtimes'))}")
        usual = DEVICES if name == "runtimes" else LEVELS[name]
        names = given.targets.split(",") if given.targets else usual
        if not set(names) <= set(usual):
            parser.error(f"the targets of `{name}` are {', '.join(usual)}")
        wheel = build(name, [targets.NAMED[target] for target in names], given.out)
        console.write(f"{wheel} {console.human_bytes(wheel.stat().st_size)}")
        if wheel.stat().st_size > MOST_BYTES:
            console.warn("the package index refuses files of more than 100 MB")


def build(name: str, chosen: Sequence[Target], out: Path) -> Path:
    """The finished wheel `name`, in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        staged, made = Path(folder) / "staged", Path(folder) / "made"
        runtimes = staged / "sphere_edge_runtimes" / "data" if name == "runtimes" else staged
        if name == "runtimes":
            shutil.copytree(ROOT / "wheels" / "runtimes", staged)
            project = staged / "pyproject.toml"
            numbered = project.read_text("utf-8").replace('"0"', f'"{__version__}"')
            project.write_text(numbered, "utf-8")
        runtimes.mkdir(parents=True)
        for target in chosen:
            stage(target, runtimes, is_for_here=name != "runtimes")
        licenses(runtimes / "licenses")
        run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps"),
                *("--wheel-dir", made, staged if name == "runtimes" else ROOT),
            ],
            timeout_s=_PIP_TIMEOUT_S,
            env={
                "SPHERE_EDGE_RUNTIMES": str(runtimes),
                "SPHERE_EDGE_WHEEL_TAG": TAGS.get(name, ""),
            },
        )
        (wheel,) = made.iterdir()
        return Path(shutil.move(wheel, out / wheel.name))


def stage(target: Target, into: Path, *, is_for_here: bool) -> None:
    """Puts the runtime for `target` with all its engines into a folder of its name in `into`.

    `is_for_here`: it runs where the wheel is installed, not on a device of that machine.
    """
    built = native.build(target, console.progress(), native.ALL_ENGINES)
    folder = into / built.folder.name
    if is_for_here:
        # They are in the wheels of TVM, which sphere-edge depends on.
        unwanted = {path.name for path in native.tvm_libraries(target)}
    else:
        unwanted = {built.quantizer.name}
    distribution = "sphere-edge" if is_for_here else "sphere-edge-runtimes"
    folder.mkdir()
    (folder / prebuilt.NOTE).write_text(f"{distribution} {__version__}", encoding="utf-8")
    for part in ("lib", "bin"):
        shutil.copytree(
            built.folder / part,
            folder / part,
            ignore=lambda _, names: unwanted & set(names),
        )


def licenses(into: Path) -> None:
    """The licences of what is compiled into a runtime."""
    into.mkdir()
    for name in ("llama_cpp", "whisper_cpp", "stable_diffusion_cpp"):
        folder = sources.fetch(name, console.progress())
        shutil.copyfile(folder / "LICENSE", into / f"{name}.txt")
        if (folder / "licenses").is_dir():
            shutil.copytree(folder / "licenses", into / name)
    folder = sources.fetch("monocypher", console.progress())
    shutil.copyfile(folder / "LICENSE.txt", into / "monocypher.txt")
    library = compilers.zig().parent / "lib"
    for name, path in {
        "libcxx": "libcxx/LICENSE.TXT",
        "libunwind": "libunwind/LICENSE.TXT",
        "musl": "libc/musl/COPYRIGHT",
    }.items():
        if (library / path).is_file():
            shutil.copyfile(library / path, into / f"{name}.txt")


if __name__ == "__main__":
    # As an exception, so that the compilers end, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        main(sys.argv[1:])
    except errors.SphereEdgeError as error:
        console.error(error.message, error.hint)
        sys.exit(int(error.code))
