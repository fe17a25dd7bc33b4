"""Expressions of DynamoDB as tables of cases."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dynamodb_api.expressions.evaluate import meets, projected
from gateway.dynamodb_api.expressions.parse import Expressions
from gateway.dynamodb_api.expressions.update import updated
from hearth.errors import ValidationFailed

ITEM: dict[str, Any] = {
    "n": {"N": "5"},
    "s": {"S": "hello"},
    "tags": {"SS": ["a", "b"]},
    "list": {"L": [{"S": "x"}, {"M": {"k": {"N": "1"}}}, {"S": "z"}]},
    "map": {"M": {"in": {"M": {"deep": {"BOOL": True}}}}},
    "empty": {"NULL": True},
}
NAMES = {"#l": "list", "#m": "map", "#in": "in", "#k": "k", "#e": "empty"}
VALUES: dict[str, Any] = {
    ":4": {"N": "4"},
    ":5": {"N": "5"},
    ":6": {"N": "6"},
    ":five": {"S": "5"},
    ":he": {"S": "he"},
    ":a": {"S": "a"},
    ":ab": {"SS": ["a", "c"]},
    ":t": {"BOOL": True},
    ":S": {"S": "S"},
    ":list": {"L": [{"S": "w"}]},
}


def parsed(member: str, text: str) -> Expressions:
    names = {name: one for name, one in NAMES.items() if name in text}
    values = {name: one for name, one in VALUES.items() if name in text.replace(",", " ").replace(")", " ").split()}
    given = {member: text, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return Expressions({name: one for name, one in given.items() if one}, (member,))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n = :5", True),
        ("n = :five", False),
        ("n <> :five", True),
        ("nowhere <> :5", True),
        ("nowhere = :5", False),
        ("nowhere < :5", False),
        ("n < :6 and n > :4", True),
        ("n between :4 and :5", True),
        ("n IN ( :4 , :5 )", True),
        ("NOT n = :5 OR s > :he", True),
        ("NOT (n = :5 OR s > :he )", False),
        ("n = :4 AND n = :5 OR n = :5", True),
        ("begins_with(s, :he )", True),
        ("contains(s, :he )", True),
        ("contains(tags, :a )", True),
        ("contains(#l, :a )", False),
        ("attribute_exists(#m.#in.deep)", True),
        ("attribute_exists(#l[3])", False),
        ("attribute_not_exists(#l[1].nope)", True),
        ("attribute_type(s, :S )", True),
        ("size(s) = :5", True),
        ("size(#l) < :4", True),
        ("size(n) = :5", False),
        ("#m.#in.deep = :t", True),
    ],
)
def test_condition(text: str, holds: bool) -> None:
    assert meets(parsed("ConditionExpression", text).condition("ConditionExpression"), ITEM) is holds


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("SET n = n + :5", {"n": {"N": "10"}}),
        ("SET n = n - :6", {"n": {"N": "-1"}}),
        ("SET n = if_not_exists(n, :4 ), q = if_not_exists(q, :4 )", {"q": {"N": "4"}}),
        ("SET #l[9] = :a", {"list": {"L": [*ITEM["list"]["L"], {"S": "a"}]}}),
        ("SET #l = list_append( :list , #l)", {"list": {"L": [{"S": "w"}, *ITEM["list"]["L"]]}}),
        ("REMOVE #l[0], #l[2]", {"list": {"L": [ITEM["list"]["L"][1]]}}),
        ("ADD tags :ab", {"tags": {"SS": ["a", "b", "c"]}}),
        ("DELETE tags :ab", {"tags": {"SS": ["b"]}}),
        ("ADD n :5 SET s = :a", {"n": {"N": "10"}, "s": {"S": "a"}}),
        ("SET s = #e, #e = s", {"s": {"NULL": True}, "empty": {"S": "hello"}}),
    ],
)
def test_update(text: str, changed: dict[str, Any]) -> None:
    update = parsed("UpdateExpression", text).update()
    assert update is not None
    assert updated(update, ITEM) == ITEM | changed


def test_set_of_which_nothing_is_left_goes() -> None:
    update = parsed("UpdateExpression", "DELETE tags :ab").update()
    assert update is not None
    assert updated(update, {"tags": {"SS": ["a"]}}) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SET a.b.c = :5", "The document path provided in the update expression is invalid for update"),
        ("SET n = s + :5", "An operand in the update expression has an incorrect data type"),
        ("SET n = nowhere", "The provided expression refers to an attribute that does not exist in the item"),
    ],
)
def test_update_that_the_item_does_not_fit(text: str, problem: str) -> None:
    update = parsed("UpdateExpression", text).update()
    assert update is not None
    with pytest.raises(ValidationFailed) as caught:
        updated(update, ITEM)
    assert caught.value.message == problem


def test_projection_keeps_the_form_of_what_it_shows() -> None:
    paths = parsed("ProjectionExpression", "#l[2], #l[1].#k, #m.#in.deep, nowhere").projection()
    assert projected(paths, ITEM) == {
        "list": {"L": [{"M": {"k": {"N": "1"}}}, {"S": "z"}]},
        "map": {"M": {"in": {"M": {"deep": {"BOOL": True}}}}},
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("n = ", 'Syntax error; token: "<EOF>", near: "="'),
        ("n ? :5", 'Syntax error; token: "?", near: "n ?"'),
        (" ", "The expression can not be empty;"),
        ("#q = n", "An expression attribute name used in the document path is not defined; attribute name: #q"),
        ("sizes(n) = :5", "Invalid function name; function: sizes"),
        ("size(n)", "The function is not allowed to be used this way in an expression; function: size"),
        (
            "begins_with(s)",
            "Incorrect number of operands for operator or function; operator or function: begins_with, number of "
            "operands: 1",
        ),
        (
            "begins_with(s, :5 )",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "n BETWEEN :6 AND :5",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound "
            "operand: AttributeValue: {N:6}, upper bound operand: AttributeValue: {N:5}",
        ),
    ],
)
def test_what_is_no_condition_is_refused_in_the_words_of_aws(text: str, problem: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parsed("ConditionExpression", text).condition("ConditionExpression")
    assert caught.value.message == f"Invalid ConditionExpression: {problem}"
