"""Models from a hub: only what we read, resumed, checked, offline; each failure with its reason."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from gguf import GGUFWriter

from sphere_edge import __version__
from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    StorageError,
    UnavailableError,
    UnsupportedError,
)
from sphere_edge.formats import gguf
from sphere_edge.formats.hub import Hub
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.source import ModelSource, open_source
from sphere_edge.formats.wanted import Wanted
from tests.loopback_hub import COMMIT, LoopbackHub

WEIGHTS = safetensors.numpy.save({"w": np.arange(50_000, dtype=np.float32)})
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "README.md": b"# A model",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x02pickle",
    "modeling_evil.py": b"raise SystemExit",
    "onnx/model.onnx": b"onnx",
    "original/params.json": b"{}",
}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub(dict(FILES)) as running:
        yield running


@pytest.fixture(autouse=True)
def no_settings_of_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_verysecrettoken")


def settings(hub: LoopbackHub, folder: Path, **options: Any) -> Hub:
    return Hub(hub.endpoint, folder / "cache", retry_delays_s=(0.0, 0.0), **options)


def fetch(
    hub: LoopbackHub, folder: Path, reference: str = "owner/model", **more: Any
) -> ModelSource:
    return open_source(reference, hub=settings(hub, folder), **more)


def test_only_what_is_read_is_fetched_at_one_commit(hub: LoopbackHub, tmp_path: Path) -> None:
    source = fetch(hub, tmp_path)
    assert source.revision == COMMIT
    assert source.name == "model"
    assert source.kind == "safetensors"
    assert (source.path / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(hub.fetched) == ["config.json", "model.safetensors", "tokenizer.json"]
    # The weights come last: what makes a model unfit is known before.
    assert hub.fetched[-1] == "model.safetensors"


def test_a_second_time_nothing_is_fetched_again(hub: LoopbackHub, tmp_path: Path) -> None:
    first = fetch(hub, tmp_path)
    count = len(hub.fetched)
    assert fetch(hub, tmp_path) == first
    assert len(hub.fetched) == count


def test_a_model_in_the_cache_works_while_the_hub_is_down(hub: LoopbackHub, tmp_path: Path) -> None:
    first = fetch(hub, tmp_path)
    hub.stop()
    assert fetch(hub, tmp_path) == first
    assert open_source("owner/model", hub=settings(hub, tmp_path, local_files_only=True)) == first


def test_a_hub_that_is_down_is_unavailable(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.stop()
    with pytest.raises(UnavailableError, match="the hub does not answer") as caught:
        fetch(hub, tmp_path)
    assert "network" in str(caught.value.hint)


def test_offline_without_a_copy_says_so(hub: LoopbackHub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="`owner/model` at `main` is not in the cache"):
        open_source("owner/model", hub=settings(hub, tmp_path, local_files_only=True))
    assert hub.requests == []


def test_a_transfer_that_is_cut_goes_on_where_it_stopped(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.cut_after, hub.cuts = 30_000, 5
    source = fetch(hub, tmp_path)
    assert (source.path / "model.safetensors").read_bytes() == WEIGHTS
    starts = [headers.get("range") for path, headers in hub.requests if "model.saf" in path]
    assert starts[:3] == [None, "bytes=30000-", "bytes=60000-"]


def test_a_hub_that_keeps_cutting_off_is_resumed_by_the_next_run(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.cut_after, hub.cuts = 120_000, 1

    with pytest.raises(UnavailableError, match=r"cut off after 120000 of \d+ bytes") as caught:
        open_source("owner/model", hub=Hub(hub.endpoint, tmp_path / "cache", retry_delays_s=()))
    assert "goes on where it stopped" in str(caught.value.hint)
    hub.cut_after = None
    fetch(hub, tmp_path)
    ranges = [headers.get("range") for path, headers in hub.requests if "model.saf" in path]
    assert ranges == [None, "bytes=120000-"]


def test_a_hub_without_ranges_sends_all_again(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.cut_after, hub.cuts, hub.ranges = 70_000, 1, False
    source = fetch(hub, tmp_path)
    assert (source.path / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_damage_on_the_way_is_found_by_the_hash(
    hub: LoopbackHub, tmp_path: Path, file: str
) -> None:
    hub.damaged = file
    with pytest.raises(ModelCorruptError, match=f"`{file}` arrived damaged"):
        fetch(hub, tmp_path)
    hub.damaged = None
    assert (fetch(hub, tmp_path).path / file).read_bytes() == FILES[file]


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (404, "RepoNotFound", NotFoundError, "the hub has no model `owner/model`"),
        (401, "RepoNotFound", NotFoundError, "or you have no access to it"),
        (404, "RevisionNotFound", NotFoundError, "has no revision `main`"),
        (403, "GatedRepo", UnavailableError, "is gated"),
        (403, None, UnavailableError, "HTTP status 403"),
        (500, None, UnavailableError, "HTTP status 500"),
    ],
)
def test_refusals_are_told_apart(
    hub: LoopbackHub, tmp_path: Path, status: int, code: str | None, kind: Any, says: str
) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(kind, match=says):
        fetch(hub, tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "GatedRepo", "is gated"),
        (401, None, "HTTP status 401"),
        (503, None, "cut off after 0"),
    ],
)
def test_refused_files_are_told_apart(
    hub: LoopbackHub, tmp_path: Path, status: int, code: str | None, says: str
) -> None:
    hub.file_status, hub.file_error_code = status, code
    with pytest.raises(UnavailableError, match=says):
        fetch(hub, tmp_path)


@pytest.mark.parametrize(
    "info",
    [
        {"id": "x", "sha": "not a commit", "siblings": []},
        {"id": "x", "sha": COMMIT, "siblings": [{"rfilename": "../../evil", "size": 1}]},
        {"id": "x", "sha": COMMIT, "siblings": [{"rfilename": "model.safetensors"}]},
        {"id": "x", "sha": COMMIT, "siblings": [{"size": 3}]},
        {"id": "x", "sha": COMMIT, "siblings": 7},
        [1, 2],
    ],
)
def test_answers_that_make_no_sense_are_refused(
    hub: LoopbackHub, tmp_path: Path, info: Any
) -> None:
    hub.info = info
    with pytest.raises(UnavailableError):
        fetch(hub, tmp_path)


def test_the_token_is_sent_and_never_told(
    hub: LoopbackHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for status, code in ((403, "GatedRepo"), (500, None)):
        hub.file_status, hub.file_error_code = status, code
        with pytest.raises(SphereEdgeError) as caught:
            fetch(hub, tmp_path)
        told += [caught.value.message, str(caught.value.hint), repr(caught.value)]
    assert all(
        headers["authorization"] == "Bearer hf_verysecrettoken" for _, headers in hub.requests
    )
    assert "verysecret" not in caplog.text + "".join(told)


def test_the_hub_learns_nothing_of_this_machine(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the user has set, and whatever huggingface_hub does by default.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", False)
    fetch(hub, tmp_path)
    assert len(hub.requests) > 3
    for path, headers in hub.requests:
        assert path.startswith(("/api/models/owner/model", "/owner/model/resolve/"))
        assert headers.pop("user-agent") == f"sphere-edge/{__version__}"
        # The trace id is a new random number for each request.
        told = set(headers) - {"x-amzn-trace-id"}
        assert told <= {"host", "accept", "accept-encoding", "connection", "authorization"}


def test_pickles_alone_are_refused_before_anything_is_fetched(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(UnsupportedError, match=r"holds only pickles \(`pytorch_model.bin`\)"):
        fetch(hub, tmp_path)
    assert hub.fetched == []


def test_a_diffusers_repository_is_refused_by_its_small_file(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.files["model_index.json"] = b'{"_class_name": "StableDiffusionPipeline"}'
    with pytest.raises(UnsupportedError, match="image generation model"):
        fetch(hub, tmp_path)


def test_of_several_gguf_files_one_must_be_named(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.files = {"m-Q4_0.gguf": b"GGUF four", "m-Q8_0.gguf": b"GGUF eight", "config.json": b"{}"}
    with pytest.raises(InvalidArgumentError, match="holds 2 GGUF files: m-Q4_0.gguf") as caught:
        fetch(hub, tmp_path)
    assert "owner/model/m-Q4_0.gguf" in str(caught.value.hint)
    source = fetch(hub, tmp_path, "owner/model/m-Q8_0.gguf")
    assert source.path.read_bytes() == b"GGUF eight"
    assert (source.kind, source.name) == ("gguf", "m-q8_0")
    assert hub.fetched == ["m-Q8_0.gguf"]
    with pytest.raises(NotFoundError, match="has no file `m-Q2_K.gguf`"):
        fetch(hub, tmp_path, "owner/model/m-Q2_K.gguf")


def test_all_parts_of_a_split_gguf_are_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    parts = {f"m-0000{number}-of-00002.gguf": b"GGUF %d" % number for number in (1, 2)}
    hub.files = {**parts, "config.json": b"{}"}
    for reference in ("owner/model", "owner/model/m-00002-of-00002.gguf"):
        source = fetch(hub, tmp_path, reference)
        assert [path.name for path in source.files] == list(parts)
    assert sorted(hub.fetched) == list(parts)
    hub.files = {**parts, "other.gguf": b"GGUF"}
    with pytest.raises(InvalidArgumentError, match="2 GGUF files: m-00001-of-00002.gguf, other"):
        fetch(hub, tmp_path, "owner/model", wanted=Wanted(revision="other"))


def test_safetensors_are_fetched_to_make_a_gguf_of(hub: LoopbackHub, tmp_path: Path) -> None:
    assert fetch(hub, tmp_path, wanted=Wanted("gguf", is_convertible=True)).kind == "safetensors"


def test_both_formats_are_chosen_between(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.files["model.gguf"] = b"GGUF"
    assert fetch(hub, tmp_path, wanted=Wanted("gguf")).kind == "gguf"
    assert "model.safetensors" not in hub.fetched
    assert fetch(hub, tmp_path).kind == "safetensors"


def described(**sizes: int) -> dict[str, Any]:
    siblings = [
        {"rfilename": name.replace("_", "."), "size": size, "blobId": "0" * 40}
        for name, size in sizes.items()
    ]
    return {"id": "owner/model", "sha": COMMIT, "siblings": siblings}


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.info = described(model_gguf=2**60)
    with pytest.raises(StorageError, match="1152921504606846976 bytes are to be fetched"):
        fetch(hub, tmp_path)
    assert hub.fetched == []


def test_a_gigabyte_of_json_is_not_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.info = described(model_safetensors=8, config_json=2**30)
    with pytest.raises(UnsupportedError, match="`config.json` of `owner/model` has 1073741824"):
        fetch(hub, tmp_path)
    assert hub.fetched == []


def test_a_cache_that_cannot_be_written_is_a_storage_error(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder belongs")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(hub, tmp_path)


def test_only_the_shards_of_the_index_are_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    hub.files["consolidated.safetensors"] = WEIGHTS
    weight_map = {}
    for number in (1, 2):
        shard = f"model-0000{number}-of-00002.safetensors"
        hub.files[shard] = safetensors.numpy.save({f"w{number}": np.ones(3, np.float32)})
        weight_map[f"w{number}"] = shard
    index = json.dumps({"weight_map": weight_map}).encode()
    hub.files["model.safetensors.index.json"] = index
    fetch(hub, tmp_path)
    assert "consolidated.safetensors" not in hub.fetched
    del hub.files["model-00002-of-00002.safetensors"]
    with pytest.raises(NotFoundError, match=r"no file `model-00002-of-00002.safetensors`"):
        fetch(hub, tmp_path / "another")


def test_a_copy_with_a_missing_shard_does_not_serve_offline(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    source = fetch(hub, tmp_path)
    (source.path / "model.safetensors").unlink()
    hub.stop()
    with pytest.raises(UnavailableError, match="does not answer"):
        fetch(hub, tmp_path)


@pytest.mark.parametrize("revision", ["../../x", "-x", "a//b", "a b"])
def test_a_revision_cannot_be_a_path(hub: LoopbackHub, tmp_path: Path, revision: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid revision"):
        fetch(hub, tmp_path, wanted=Wanted(revision=revision))


def test_progress_counts_the_bytes_that_are_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    seen: list[tuple[str, float | None, str]] = []
    amounts: list[float] = []

    class Step:
        def advance(self, amount: float = 1) -> None:
            amounts.append(amount)

        def __enter__(self) -> Step:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to end."""

    class Progress:
        def step(self, title: str, total: float | None = None, unit: str = "items") -> Step:
            seen.append((title, total, unit))
            return Step()

    open_source("owner/model", hub=settings(hub, tmp_path, progress=Progress()))
    assert seen[-1][1:] == (len(WEIGHTS), "bytes")
    assert sum(amounts) == sum(len(FILES[name]) for name in hub.fetched)


BIG = safetensors.numpy.save({"w": np.zeros((1000, 1000), np.float32), "b": np.ones(7, np.float16)})


@pytest.mark.parametrize("ranges", [True, False])
def test_headers_alone_say_what_a_model_is(hub: LoopbackHub, tmp_path: Path, ranges: bool) -> None:
    hub.ranges = ranges
    hub.files["model.safetensors"] = BIG
    source = open_source("owner/model", hub=settings(hub, tmp_path, headers_only=True))
    (tmp_path / "model.safetensors").write_bytes(BIG)
    told = [(e.name, e.dtype, e.shape) for e in Checkpoint.open(source.path).tensors.values()]
    whole = [(e.name, e.dtype, e.shape) for e in Checkpoint.open(tmp_path).tensors.values()]
    assert (told, source.revision) == (whole, COMMIT)
    assert not ranges or hub.sent_bytes < 100_000
    # On the disk there is no more of it either, and huggingface_hub's users do not see it.
    assert (source.path / "model.safetensors").stat().st_blocks * 512 < 1_000_000
    with pytest.raises(NotFoundError):
        open_source("owner/model", hub=settings(hub, tmp_path, local_files_only=True))


def test_the_header_of_a_gguf_is_fetched_as_far_as_it_goes(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_token_list([f"a token of the vocabulary, {number}" for number in range(5000)])
    writer.add_tensor("w", np.zeros((1024, 1024), np.float32))
    for write in ("header", "kv_data", "tensors"):
        getattr(writer, f"write_{write}_to_file")()
    writer.close()
    hub.files = {"model.gguf": (tmp_path / "model.gguf").read_bytes()}
    source = open_source("owner/model", hub=settings(hub, tmp_path, headers_only=True))
    assert gguf.read(source.path).tensors == gguf.read(tmp_path / "model.gguf").tensors
    assert 64 * 1024 < hub.sent_bytes < 512 * 1024


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ({"cut_after": 100}, UnavailableError),
        ({"files": {**FILES, "model.safetensors": b"\xff" * 5000}}, ModelCorruptError),
        ({"file_status": 500}, UnavailableError),
    ],
)
def test_headers_that_do_not_come_leave_nothing(
    hub: LoopbackHub, tmp_path: Path, trouble: dict[str, Any], kind: type[SphereEdgeError]
) -> None:
    vars(hub).update(trouble)
    with pytest.raises(kind):
        open_source("owner/model", hub=settings(hub, tmp_path, headers_only=True))
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_what_was_downloaded_before_serves_as_it_is(hub: LoopbackHub, tmp_path: Path) -> None:
    whole = fetch(hub, tmp_path)
    assert open_source("owner/model", hub=settings(hub, tmp_path, headers_only=True)) == whole
