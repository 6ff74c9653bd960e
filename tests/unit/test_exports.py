"""The names that `import sphere_edge` gives: adding one is a promise, taking one away a break."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import sphere_edge
from sphere_edge import errors
from sphere_edge.run import run
from sphere_edge.runtime import (
    image_request,
    open_options,
    text_request,
    transcription_request,
)
from sphere_edge.runtime.request import requested
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.runtime.transcription_request import TranscriptionRequest

EXPORTED = [
    "AudioManager",
    "CancelledError",
    "EmbedRequest",
    "FormatMismatchError",
    "ImageManager",
    "ImageRequest",
    "InternalError",
    "InvalidArgumentError",
    "LoadFailedError",
    "ModelCorruptError",
    "NotFoundError",
    "OutOfMemoryError",
    "SphereEdgeError",
    "Status",
    "StorageError",
    "TextManager",
    "TextRequest",
    "TimeoutError",
    "TranscriptionRequest",
    "UnavailableError",
    "UnsupportedError",
    "UntrustedError",
    "__version__",
    "resources",
]
# What would make `sphere-edge --help` slow.
HEAVY = ["ctypes", "numpy", "tvm", "pydantic", "rich", "subprocess"]


def test_these_names_are_exported() -> None:
    assert sphere_edge.__all__ == EXPORTED
    for name in EXPORTED:
        assert getattr(sphere_edge, name) is not None


def test_the_built_in_model_is_found_without_another_import() -> None:
    code = "import sphere_edge; print(sphere_edge.resources.tiny_model())"
    folder = run([sys.executable, "-c", code], timeout_s=300).stdout.strip()
    assert (Path(folder) / "model.safetensors").is_file()


def test_every_kind_of_error_is_exported() -> None:
    kinds = {kind.__name__ for kind in errors.SphereEdgeError.__subclasses__()}
    assert kinds <= set(sphere_edge.__all__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import json, sys, sphere_edge; print(json.dumps(list(sys.modules)))"
    imported = json.loads(run([sys.executable, "-c", code], timeout_s=300).stdout)
    assert [name for name in HEAVY if name in imported] == []


@pytest.mark.parametrize(
    ("request_type", "keywords"),
    [
        (open_options.OpenOptions, open_options.OpenKeywords),
        (text_request.TextRequest, text_request.TextOptions),
        (transcription_request.TranscriptionRequest, transcription_request.TranscriptionOptions),
        (image_request.ImageRequest, image_request.ImageOptions),
    ],
)
def test_the_keywords_of_a_call_are_the_fields_of_its_request(
    request_type: type, keywords: type
) -> None:
    assert get_type_hints(request_type) == get_type_hints(keywords)


def test_an_old_keyword_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="`voice_detection` is now `vad`"):
        changed = requested(TranscriptionRequest(), None, {"voice_detection": True})
    assert changed == TranscriptionRequest(vad=True)


def test_a_keyword_that_no_request_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="no such option: `top_q`") as caught:
        requested(TextRequest(), None, {"top_q": 3})
    assert "top_p" in str(caught.value.hint)
