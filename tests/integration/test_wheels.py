"""The wheel with finished runtimes: installed where no compiler is, a model answers."""

from __future__ import annotations

import email
import json
import sys
import time
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sphere_edge.console import SILENT
from sphere_edge.run import Completed, ProgramFailedError, run
from sphere_edge.simulate import arm_root as arm
from sphere_edge.simulate import environment
from sphere_edge.simulate.sshd import Sshd
from sphere_edge.toolchain import targets

pytestmark = pytest.mark.group("wheels")
ROOT = Path(__file__).parents[2]
COMPILERS = ("ziglang", "cmake", "ninja")
QUESTION = "What is the capital of France?"
# What pip is told of the emulated system: it runs here, where pip is a hundred times as fast.
ARM_PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)]


@pytest.fixture(scope="module")
def level() -> targets.Target:
    """The CPU level that `deploy` to this machine takes: tests of devices compile for it, too."""
    found = [one for one in targets.host_levels() if one.features and one.features != ("neon",)]
    if not found:
        pytest.skip("no wheel has a runtime for this machine")
    return found[0]


def built(name: str, level: targets.Target, out: Path) -> Path:
    """The wheel `name` with the runtime for one level alone."""
    words = [ROOT / "wheels" / "build.py", name, "--targets", level.name, "--out", out]
    run([sys.executable, *words], timeout_s=3600)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(level: targets.Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this machine's architecture."""
    return built(str(level.triple).split("-")[0], level, tmp_path_factory.mktemp("wheels"))


def required(wheel: Path) -> set[str]:
    """What pip installs with the wheel on this machine when no extra is asked for."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (one for one in opened.namelist() if one.endswith(".dist-info/METADATA"))
        lines = email.message_from_bytes(opened.read(name)).get_all("Requires-Dist") or []
    all_of_them = [Requirement(line) for line in lines]
    return {
        one.name for one in all_of_them if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def runtime_files(wheel: Path, below: str, level: targets.Target) -> set[str]:
    """The files of the one runtime in the wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    inside = [name.removeprefix(below) for name in names if name.startswith(below)]
    return {name.partition("/")[2] for name in inside if name.startswith(level.name)}


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", folder], timeout_s=300)
    found = folder / "bin" / "python"
    constraint = ["--constraint", ROOT / "constraints.txt"]
    run([found, "-m", "pip", "install", "--quiet", *constraint, wheel], timeout_s=1800)
    return found


def command(python: Path, cache: Path, *words: str, **variables: str) -> Completed:
    """`sphere-edge` with no program of this machine in reach but those of the system."""
    given = {"PATH": "/usr/bin:/bin", "SPHERE_EDGE_CACHE": str(cache), "PYTHONPATH": ""}
    return run([python.parent / "sphere-edge", *words], timeout_s=600, env=given | variables)


def test_the_wheel_is_for_its_platform_and_holds_the_licences(
    wheel: Path, level: targets.Target
) -> None:
    assert wheel.name.endswith(f"-py3-none-manylinux_2_28_{str(level.triple).split('-')[0]}.whl")
    assert wheel.stat().st_size < 100_000_000
    names = set(zipfile.ZipFile(wheel).namelist())
    below = "sphere_edge/_data/runtimes/"
    assert {f"{below}licenses/{name}.txt" for name in ("llama_cpp", "libcxx")} <= names
    # TVM's own libraries come with TVM.
    programs = {"bin/sphere-edge-run", "bin/sphere-edge-quantize"}
    assert runtime_files(wheel, below, level) == {"lib/libsphere_edge.so", "origin", *programs}
    assert not required(wheel) & set(COMPILERS)


def test_a_wheel_without_a_runtime_requires_what_builds_one(tmp_path: Path) -> None:
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    run([sys.executable, *words], timeout_s=600)
    (made,) = tmp_path.iterdir()
    assert made.name.endswith("-py3-none-any.whl")
    assert set(COMPILERS) <= required(made)


def test_the_wheel_for_devices_holds_all_that_deploy_sends(
    level: targets.Target, tmp_path: Path
) -> None:
    if level.architecture != "x86_64":
        pytest.skip("the wheel for devices has another runtime for ARM")
    made = built("runtimes", level, tmp_path)
    libraries = {f"lib/{name}.so" for name in ("libsphere_edge", "libtvm_ffi", "libtvm_runtime")}
    expected = {"bin/sphere-edge-run", "origin", *libraries}
    assert runtime_files(made, "sphere_edge_runtimes/data/", level) == expected


def test_a_model_answers_in_an_environment_without_a_compiler(
    python: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = json.loads(
        run([python, "-m", "pip", "list", "--format", "json"], timeout_s=60).stdout
    )
    assert not {one["name"] for one in installed} & set(COMPILERS)
    started = time.monotonic()
    answer = command(python, tmp_path, "run", "tiny", QUESTION, "--temperature", "0")
    seconds = time.monotonic() - started
    assert answer.stdout == "The capital of France is Paris.\n"
    assert "compiling native" not in answer.stderr
    assert not (tmp_path / "zig").exists()
    with capsys.disabled():
        print(f"\nfirst answer of an installed wheel: {seconds:.1f} s")
    doctor = json.loads(command(python, tmp_path, "doctor", "--json").stdout)
    found = {one["name"]: one for one in doctor["findings"]}
    assert doctor["healthy"]
    assert "the wheel of sphere-edge" in found["runtime"]["found"]
    assert found["zig"]["state"] == "optional"
    told = json.loads(command(python, tmp_path, "runtime", "info", "--json").stdout)
    assert told["origin"].startswith("the wheel of sphere-edge")
    assert {"text", "audio", "image"} <= set(told["managers"])


def test_speech_needs_no_compiler_either(python: Path, tmp_path: Path) -> None:
    bundle, cache = tmp_path / "speech.host", tmp_path / "cache"
    command(python, cache, "package", "tiny-whisper", "--output", str(bundle))
    samples = ROOT / "sphere_edge" / "data" / "tiny_whisper" / "samples"
    spoken = json.loads((samples / "samples.json").read_text())["10.flac"]
    heard = command(python, cache, "transcribe", str(bundle), str(samples / "10.flac"))
    assert spoken in heard.stdout
    assert not (cache / "zig").exists()


def test_an_installed_wheel_that_must_compile_says_what_is_missing(
    python: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProgramFailedError, match=r"sphere-edge\[build\]"):
        command(python, tmp_path, "runtime", "build", "--target", "musl-x86-64")


def test_a_board_gets_its_runtime_from_the_wheel_for_devices(
    python: Path, arm_root: Path, tmp_path: Path
) -> None:
    made = built("runtimes", targets.NAMED["linux-arm64-dotprod"], tmp_path / "wheels")
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", made], timeout_s=600)
    board = environment.arm(tmp_path / "board", "cortex-a76", SILENT)
    server = Sshd(tmp_path / "sshd", board)
    cache, bundle = tmp_path / "cache", tmp_path / "tiny.pi"
    server.start()
    try:
        known = {"SPHERE_EDGE_SSH_CONFIG": str(server.config(server.port))}
        words = ("package", "tiny", "--profile", "raspberry-pi-5", "--output", str(bundle))
        command(python, cache, *words)
        # The runner on the board answers, and its logits are compared with the reference.
        command(python, cache, "deploy", str(bundle), "--device", "ssh://board", **known)
        listed = command(python, cache, "device", "list", "--device", "ssh://board", **known)
    finally:
        server.stop()
    assert "tiny" in listed.stdout
    assert not (cache / "zig").exists()


def test_a_model_answers_on_arm_where_no_compiler_is(arm_root: Path, tmp_path: Path) -> None:
    made = built("aarch64", targets.NAMED["linux-arm64-dotprod"], tmp_path / "wheels")
    root = arm.copy(tmp_path / "root", more=("python3",))
    (library,) = (root / "usr" / "lib").glob("python3.*")
    # Of this one there is no wheel for ARM: pip builds it, which takes no compiler.
    pure = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-binary", "adbutils"]
    constraint = ["--constraint", ROOT / "constraints.txt"]
    run([*pure, *constraint, "--wheel-dir", tmp_path / "pure", "adbutils"], timeout_s=600)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", root / "site"]
    chosen = [word for name in ARM_PLATFORMS for word in ("--platform", name)]
    wheels = ["--only-binary", ":all:", "--find-links", tmp_path / "pure", *chosen]
    version = library.name.removeprefix("python")
    run([*install, *wheels, "--python-version", version, *constraint, made], timeout_s=1800)
    entered = [*arm.enter(root, "cortex-a76"), "env", "PYTHONPATH=/site", "HOME=/root"]
    tool = [*entered, "python3", "-m", "sphere_edge"]
    answer = run([*tool, "run", "tiny", QUESTION, "--temperature", "0"], timeout_s=3000)
    assert answer.stdout == "The capital of France is Paris.\n"
    assert "compiling native" not in answer.stderr
    told = json.loads(run([*tool, "runtime", "info", "--json"], timeout_s=600).stdout)
    assert told["origin"].startswith("the wheel of sphere-edge")
    assert told["architecture"] == "aarch64"
