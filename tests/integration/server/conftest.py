"""One server for all tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests import made_bundles, random_gguf
from tests.server_process import Served, serving


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The three built-in models, and a GGUF of random weights, as `serve` takes them."""
    text, image = made_bundles.made("tiny").folder, made_bundles.made("tiny-image").folder
    random = random_gguf.write(tmp_path_factory.mktemp("model") / "random.gguf")
    return [f"tiny={text}", "tiny-whisper", f"tiny-image={image}", str(random)]


@pytest.fixture(scope="session")
def server(bundles: list[str]) -> Iterator[Served]:
    with serving(*bundles) as served:
        yield served


@pytest.fixture
def openai(server: Served) -> Iterator[OpenAI]:
    with server.openai as client:
        yield client
