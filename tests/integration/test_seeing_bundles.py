"""A GGUF and its image encoder as one bundle: packaged, described, proven, run, served."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from sphere_edge import TextManager
from sphere_edge.errors import Status
from sphere_edge.run import run
from tests import random_gguf, random_mmproj, runtimes
from tests.cli_process import in_process, refused
from tests.integration.test_images_in_chats import picture, png, shown
from tests.server_process import serving

GREEDY = ("--max-tokens", "12", "--temperature", "0", "--json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as the hub has them: the encoder's name does not say what it is."""
    folder = tmp_path_factory.mktemp("seeing") / "model"
    folder.mkdir()
    random_gguf.write(folder / "random.gguf")
    random_mmproj.write(folder / "a-sight.gguf")
    picture(1).save(folder.parent / "picture.png")
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    bundle = folder.parent / "seeing.host"
    done = in_process("package", folder, "-o", bundle, "--json")
    assert done.returncode == 0, done.stderr
    assert "with its image encoder `a-sight.gguf`" in done.stderr
    return bundle


def expected(bundle: Path) -> str:
    with TextManager.open(bundle) as text:
        return text.chat(shown(picture(1)), max_tokens=12, temperature=0).text()


def test_the_encoder_is_a_file_of_the_bundle(bundle: Path, folder: Path) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert {one["path"]: one["role"] for one in manifest["files"]} == {
        "model.gguf": "model",
        "mmproj.gguf": "mmproj",
    }
    assert manifest["provenance"]["source"] == "model with a-sight.gguf"
    alone = in_process("package", folder / "random.gguf", "-o", bundle.parent / "blind", "--json")
    blind = json.loads((Path(json.loads(alone.stdout)["path"]) / "bundle.json").read_text())
    size = (folder / "a-sight.gguf").stat().st_size
    more = manifest["memory"]["weights_bytes"] - blind["memory"]["weights_bytes"]
    assert 0 < more <= size
    assert manifest["memory"]["workspace_bytes"] > blind["memory"]["workspace_bytes"]
    assert manifest["provenance"]["source_sha256"] != blind["provenance"]["source_sha256"]


def test_it_is_verified_and_inspected(bundle: Path, tmp_path: Path) -> None:
    assert in_process("verify", bundle).returncode == 0
    assert "mmproj.gguf" in in_process("inspect", bundle).stdout
    content = bytearray((bundle / "mmproj.gguf").read_bytes())
    content[-1] ^= 1
    packed = in_process("package", bundle.parent / "model", "-o", tmp_path / "damaged")
    assert packed.returncode == 0, packed.stderr
    (tmp_path / "damaged" / "mmproj.gguf").write_bytes(content)
    done = in_process("verify", tmp_path / "damaged")
    assert done.returncode == Status.MODEL_CORRUPT
    assert "mmproj.gguf" in done.stderr


def test_run_shows_pictures(bundle: Path, folder: Path) -> None:
    words = ("What is this?", "--image", folder.parent / "picture.png", *GREEDY)
    done = in_process("run", bundle, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == expected(bundle)
    bare = in_process("run", folder / "random.gguf", *words, "--mmproj", folder / "a-sight.gguf")
    assert json.loads(bare.stdout)["text"] == expected(bundle)
    for blind in (folder / "random.gguf", "tiny"):
        failed = in_process("run", blind, *words[:3])
        refused(failed, Status.UNSUPPORTED, "has an image")


def test_the_runner_shows_pictures(bundle: Path, tmp_path: Path) -> None:
    picture(1).save(tmp_path / "picture.ppm")
    runner = runtimes.here().runner
    words = [runner, "chat", bundle, "What is this?", *GREEDY]
    done = run([*words, "--image", tmp_path / "picture.ppm"], timeout_s=300)
    assert json.loads(done.stdout)["text"] == expected(bundle)
    for content in (b"P6 9 9 255\n" + bytes(99), b"P5 9 9 255\n", b"P6 99999 9 255\n", b"P6"):
        (tmp_path / "damaged.ppm").write_bytes(content)
        failed = run([*words, "--image", tmp_path / "damaged.ppm"], timeout_s=300, check=False)
        assert failed.exit_code == Status.INVALID_ARGUMENT


def test_pairs_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    other = random_mmproj.write(tmp_path / "other.gguf", embedding_size=96)
    words = ("package", folder / "random.gguf", "-o", tmp_path / "bundle", "--mmproj")
    refused(in_process(*words, other), Status.FORMAT_MISMATCH, "reads 64")
    refused(in_process(*words, folder / "random.gguf"), Status.UNSUPPORTED, "not an image encoder")
    refused(in_process(*words, tmp_path / "none.gguf"), Status.NOT_FOUND, "none.gguf")
    compiled = ("package", "tiny", "-o", tmp_path / "bundle", "--mmproj", folder / "a-sight.gguf")
    refused(in_process(*compiled), Status.INVALID_ARGUMENT, "reads images")
    assert not (tmp_path / "bundle").exists()


def test_of_several_encoders_one_is_chosen_by_the_user(folder: Path, tmp_path: Path) -> None:
    random_gguf.write(tmp_path / "random.gguf")
    for name in ("one.gguf", "two.gguf"):
        random_mmproj.write(tmp_path / name)
    done = in_process("package", tmp_path, "-o", tmp_path / "bundle")
    refused(done, Status.INVALID_ARGUMENT, "2 image encoders: one.gguf, two.gguf")
    words = ("package", tmp_path, "-o", tmp_path / "bundle", "--mmproj", tmp_path / "two.gguf")
    assert in_process(*words).returncode == 0


@pytest.fixture(scope="module")
def client(bundle: Path, folder: Path) -> Iterator[OpenAI]:
    with (
        serving(f"seeing={bundle}", f"blind={folder / 'random.gguf'}") as served,
        served.openai as client,
    ):
        yield client


def url_of(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def ask(client: OpenAI, url: str, model: str = "seeing", **more: Any) -> Any:
    content = [
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "text", "text": "What is this?"},
    ]
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],  # type: ignore[misc,list-item]
        temperature=0,
        max_tokens=12,
        **more,
    )


def test_the_server_lists_who_sees(client: OpenAI) -> None:
    by_name = {model.id: model.model_extra or {} for model in client.models.list()}
    assert by_name["seeing"]["input_modalities"] == ["text", "image"]
    assert by_name["blind"]["input_modalities"] == ["text"]


def test_the_server_shows_pictures(client: OpenAI, bundle: Path) -> None:
    answer = ask(client, url_of(png(picture(1))))
    assert answer.choices[0].message.content == expected(bundle)
    assert answer.usage.prompt_tokens > random_mmproj.TOKENS
    content: Any = [
        {"type": "input_image", "image_url": url_of(png(picture(1)))},
        {"type": "input_text", "text": "What is this?"},
    ]
    given: Any = [{"role": "user", "content": content}]
    response = client.responses.create(
        model="seeing", input=given, temperature=0, max_output_tokens=12, store=False
    )
    assert response.output_text == expected(bundle)
    assert response.usage is not None
    assert response.usage.input_tokens == answer.usage.prompt_tokens
    counted = client.responses.input_tokens.count(model="seeing", input=given)
    assert counted.input_tokens == answer.usage.prompt_tokens


def test_the_server_refuses_by_name(client: OpenAI) -> None:
    def failure(url: str, **fields: Any) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, url, **fields)
        return caught.value.body

    param = "messages[0].content[0].image_url.url"
    error = failure("http://127.0.0.1:1/secret.png")
    assert (error["param"], error["code"]) == (param, "unsupported_parameter")
    error = failure("file:///etc/passwd")
    assert (error["param"], error["code"]) == (param, "unsupported_parameter")
    error = failure("/etc/hostname")
    assert (error["param"], error["code"]) == (param, "unsupported_parameter")
    error = failure("data:image/png;base64,!!!!")
    assert (error["param"], error["code"]) == (param, "invalid_image")
    error = failure(url_of(b"<html>"))
    assert (error["param"], error["code"]) == (param, "invalid_image")
    assert "PNG" in failure(url_of(png(picture(1))[:-60]))["message"]
    assert "reads text only" in failure(url_of(png(picture(1))), model="blind")["message"]


def test_the_server_limits_pictures(client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": url_of(png(picture(1, 9, 9)))}}
    messages: Any = [{"role": "user", "content": [image] * 33}]
    with pytest.raises(openai.BadRequestError, match="33"):
        client.chat.completions.create(model="seeing", messages=messages)
    messages = [{"role": "assistant", "content": [image]}]
    with pytest.raises(openai.BadRequestError, match="role `assistant`"):
        client.chat.completions.create(model="seeing", messages=messages)
