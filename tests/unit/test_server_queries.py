"""What stands behind the `?` of a path is done or refused, as fields of a body are."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from sphere_edge.server import app, openapi, query
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.query import Query
from sphere_edge.server.stored_responses import ListQuery, RetrieveQuery, page


def read(into: type[Query], text: str) -> Query:
    request = Request({"type": "http", "query_string": text.encode(), "headers": []})
    return asyncio.run(query.read(request, into))


@pytest.mark.parametrize(
    ("into", "text", "param"),
    [
        (ListQuery, "limit=0", "limit"),
        (ListQuery, "limit=101", "limit"),
        (ListQuery, "limit=" + "9" * 5000, "limit"),
        (ListQuery, "limit=", "limit"),
        (ListQuery, "limit=1&limit=2", "limit"),
        (ListQuery, "order=up", "order"),
        (ListQuery, "before=msg_1", "before"),
        (ListQuery, "include[]=message.output_text.logprobs", "include"),
        (RetrieveQuery, "stream=1", "stream"),
        (RetrieveQuery, "starting_after=first", "starting_after"),
        (RetrieveQuery, "include=reasoning.encrypted_content", "include"),
    ],
)
def test_what_is_wrong_is_named(into: type[Query], text: str, param: str) -> None:
    with pytest.raises(HttpError) as caught:
        read(into, text)
    assert (caught.value.http, caught.value.param) == (400, param)


def test_what_nobody_knows_is_ignored() -> None:
    assert read(ListQuery, "client_version=1&client_version=2") == ListQuery()
    assert read(RetrieveQuery, "stream=true&starting_after=5").model_dump() == {
        "stream": True,
        "starting_after": 5,
    }


def test_a_list_comes_in_pages() -> None:
    items = [{"id": f"msg_{number}"} for number in range(5)]
    newest = page(items, ListQuery(limit=2))
    assert [one["id"] for one in newest["data"]] == ["msg_4", "msg_3"]
    assert newest["has_more"]
    rest = page(items, ListQuery(order="asc", after="msg_2"))
    assert (rest["first_id"], rest["last_id"], rest["has_more"]) == ("msg_3", "msg_4", False)
    with pytest.raises(HttpError, match="no item has the id `msg_9`"):
        page(items, ListQuery(after="msg_9"))


def test_the_description_has_what_the_queries_have() -> None:
    described = openapi.document(app.OPERATIONS)["paths"]["/v1/responses/{id}"]["get"]
    found = {one["name"]: one["in"] for one in described["parameters"]}
    assert found == {"id": "path", "stream": "query", "starting_after": "query"}
