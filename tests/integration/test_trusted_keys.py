"""Bundles are opened for keys that the caller names: Python, the runner, the server, devices."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from sphere_edge import AudioManager, ImageManager, TextManager, packaging, resources
from sphere_edge.bundle.files import SIGNATURES, TRUSTED_KEYS
from sphere_edge.bundle.sign import sign
from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    NotFoundError,
    Status,
    UntrustedError,
)
from sphere_edge.run import run
from sphere_edge.server.on_board import PORT, OnBoard
from sphere_edge.server.settings import Settings
from sphere_edge.toolchain import native
from tests import made_bundles, random_gguf
from tests.cli_process import sphere_edge
from tests.server_process import serving
from tests.signing import key, trust_file

RELEASE, STRANGER = key("release"), key("stranger")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model, signed."""
    folder = tmp_path_factory.mktemp("signed") / "tiny"
    shutil.copytree(made_bundles.made(packaging.TINY).folder, folder)
    sign(folder, RELEASE)
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(trust_file(RELEASE))
    return path


def test_a_signed_bundle_is_opened(signed: Path, keys: Path) -> None:
    with TextManager.open(signed, trusted_keys=keys, draft_model=signed, threads=1) as text:
        assert text.generate("The sky", max_tokens=2, temperature=0).text()


def test_what_no_trusted_key_has_signed_is_not_opened(
    signed: Path, keys: Path, tmp_path: Path
) -> None:
    unsigned = tmp_path / "unsigned"
    shutil.copytree(signed, unsigned)
    (unsigned / SIGNATURES).unlink()
    for options in ({}, {"draft_model": unsigned}):
        bundle = signed if options else unsigned
        with pytest.raises(UntrustedError, match=f"is not signed.*{RELEASE.public.key_id}"):
            TextManager.open(bundle, trusted_keys=keys, **options)
    sign(unsigned, STRANGER)
    with pytest.raises(UntrustedError, match=f"{STRANGER.public.key_id}`, which is not trusted"):
        TextManager.open(unsigned, trusted_keys=keys)


def test_a_file_that_is_not_the_signed_one_is_found_on_opening(
    signed: Path, keys: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(signed, changed)
    weights = next((changed / "weights").iterdir())
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    TextManager.open(changed, threads=1).close()
    with pytest.raises(ModelCorruptError, match="is not the signed one"):
        TextManager.open(changed, trusted_keys=keys)


def test_only_bundles_can_be_trusted(keys: Path, tmp_path: Path) -> None:
    model = random_gguf.write(tmp_path / "random.gguf")
    with pytest.raises(UntrustedError, match="only bundles are signed"):
        TextManager.open(model, trusted_keys=keys)
    with pytest.raises(UntrustedError, match="only bundles are signed"):
        AudioManager.open(resources.speech_samples() / "10.flac", trusted_keys=keys)


def test_keys_that_are_none_never_stand_for_no_check(signed: Path, tmp_path: Path) -> None:
    for content in (b"", b"{}", b"[]", b"\0"):
        (tmp_path / "keys.json").write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="keys"):
            TextManager.open(signed, trusted_keys=tmp_path / "keys.json")
    with pytest.raises(NotFoundError):
        TextManager.open(signed, trusted_keys=tmp_path / "none.json")
    with pytest.raises(NotFoundError):
        ImageManager.open(signed, trusted_keys=tmp_path / "none.json")


def test_the_runner_checks_with_the_file_that_it_is_given_or_finds(
    signed: Path, keys: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "folder" / "bundle"
    shutil.copytree(signed, bundle)
    assert status(f"{bundle}/", "--trusted", keys) is None
    (bundle / SIGNATURES).unlink()
    assert status(bundle, "--trusted", keys) == "UNTRUSTED"
    assert status(bundle) is None
    # As `deploy --trusted` leaves it.
    shutil.copy(keys, bundle.parent / "trusted_keys.json")
    assert status(bundle) == "UNTRUSTED"


def test_the_runner_finds_the_keys_however_the_bundle_is_named(
    signed: Path, keys: Path, tmp_path: Path
) -> None:
    bundle, link = tmp_path / "folder" / "bundle", tmp_path / "elsewhere" / "link"
    shutil.copytree(signed, bundle)
    (bundle / SIGNATURES).unlink()
    link.parent.mkdir()
    link.symlink_to(bundle)
    names = (".", "./", "../bundle/.", f"{bundle}/weights/..", link, f"{link}/")
    assert status(".", cwd=bundle) is None
    shutil.copy(keys, bundle.parent / "trusted_keys.json")
    assert {status(name, cwd=bundle) for name in names} == {"UNTRUSTED"}


def test_keys_that_cannot_be_read_are_not_taken_for_none(signed: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(signed, bundle)
    beside = tmp_path / "trusted_keys.json"
    beside.symlink_to(tmp_path / "gone.json")
    assert status(bundle) == "NOT_FOUND"
    beside.unlink()
    beside.mkdir()
    assert status(bundle) == "INVALID_ARGUMENT"


def status(bundle: str | Path, *words: str | Path, cwd: Path | None = None) -> str | None:
    """What the runner says of opening `bundle`; None: it has generated."""
    runner = native.build_for("tvm", native.host()).runner
    command = [runner, "generate", bundle, "The sky", "--max-tokens", "1", *words, "--json"]
    answer = json.loads(run(command, timeout_s=300, cwd=cwd, check=False).stdout)
    return str(answer["error"]["status"]) if "error" in answer else None


def test_a_deployed_bundle_is_checked_there(signed: Path, keys: Path, tmp_path: Path) -> None:
    words = ["deploy", signed, "--device", "local", "--store", tmp_path / "store", "--json"]
    deployed = sphere_edge(*words, "--trusted", keys)
    assert deployed.returncode == 0, deployed.stderr
    folder = Path(json.loads(deployed.stdout)["folder"])
    assert (folder / "trusted_keys.json").read_bytes() == keys.read_bytes()
    assert (folder / "bundle" / SIGNATURES).read_bytes() == (signed / SIGNATURES).read_bytes()
    again = sphere_edge(*words, "--dry-run")
    assert "without --trusted FILE any bundle will be" in again.stderr
    assert "any bundle" not in deployed.stderr
    stranger = tmp_path / "stranger.json"
    stranger.write_bytes(trust_file(STRANGER))
    assert sphere_edge(*words, "--trusted", stranger).returncode == Status.UNTRUSTED


def test_a_server_opens_what_a_trusted_key_has_signed(signed: Path, keys: Path) -> None:
    unsigned = made_bundles.made(packaging.TINY).folder
    with (
        serving(f"ours={signed}", f"theirs={unsigned}", "--trusted", str(keys)) as served,
        served.openai as client,
    ):
        answer = client.completions.create(model="ours", prompt="The sky", max_tokens=1)
        assert answer.choices[0].text
        with pytest.raises(openai.InternalServerError, match="is not signed; expected") as caught:
            client.completions.create(model="theirs", prompt="The sky", max_tokens=1)
        assert caught.value.code == "untrusted"


def test_a_server_on_a_board_takes_the_keys_beside_its_bundle(
    signed: Path, keys: Path, tmp_path: Path
) -> None:
    board = tmp_path / "bundles" / "of"
    board.mkdir(parents=True)
    (board / "runtime").symlink_to(native.build_for("tvm", native.host()).folder)
    shutil.copytree(signed, board / "bundle")
    (tmp_path / "link").symlink_to(board / "bundle")
    settings = tmp_path / "settings.json"
    wanted = OnBoard(settings=Settings(port=0, opens_at_start=True))
    settings.write_text(wanted.model_dump_json())
    program = (
        "import sys; from pathlib import Path; from sphere_edge.server import on_board; "
        "sys.exit(on_board.main(Path(sys.argv[1]), sys.argv[2:]))"
    )
    archive, model = board / "server" / "server.pyz", f"tiny={tmp_path / 'link'}"
    command = [sys.executable, "-c", program, str(archive), "serve", str(settings), model]
    (board / TRUSTED_KEYS).write_bytes(trust_file(STRANGER))
    refused = run(command, timeout_s=300, check=False)
    assert refused.exit_code == Status.UNTRUSTED, refused.stdout
    assert "not trusted" in refused.stdout
    (board / TRUSTED_KEYS).unlink()
    (board / TRUSTED_KEYS).symlink_to(tmp_path / "gone.json")
    assert run(command, timeout_s=300, check=False).exit_code == Status.NOT_FOUND
    (board / TRUSTED_KEYS).unlink()
    (board / TRUSTED_KEYS).write_bytes(keys.read_bytes())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline().startswith(PORT)
        started.terminate()
