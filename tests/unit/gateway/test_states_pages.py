"""Pages of Step Functions' lists."""

from __future__ import annotations

import pytest

from gateway.states_api import pages
from gateway.states_api.names import check_name
from hearth.errors import ApiError


def test_pages_follow_one_another_until_the_list_ends() -> None:
    items, seen = list(range(7)), []
    given: dict[str, object] = {"maxResults": 3}
    while True:
        found, token = pages.page(items, given, "query")
        seen.append(found)
        if token is None:
            break
        given["nextToken"] = token
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_token_belongs_to_its_query() -> None:
    token = pages.token_of(3, "one")
    assert pages.start_of({"nextToken": token}, "one") == 3
    for foreign in (token, "x" * 12, "AAAA"):
        with pytest.raises(ApiError, match="Invalid token"):
            pages.start_of({"nextToken": foreign}, "another")


def test_no_size_means_a_hundred() -> None:
    assert pages.size_of({}) == pages.size_of({"maxResults": 0}) == 100


@pytest.mark.parametrize("name", ["a b", "a/b", "a\x00", "a:b", "ä\x9f"])
def test_forbidden_characters_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_name(name)
    assert caught.value.code == "InvalidName"
    assert check_name("ä.b-c_1") == "ä.b-c_1"
