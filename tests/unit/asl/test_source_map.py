"""Diagnostics point into the file, be it JSON or YAML."""

from __future__ import annotations

import orjson
import pytest

from hearth.asl.lint import lint_document
from hearth.asl.parse import InvalidDefinition, document_from_yaml
from hearth.asl.source_map import Place, place_of, places

JSON = """{
  "StartAt": "A b",
  "States": {
    "A b": {"Type": "Choice", "Choices": [
      {"Variable": "$.x", "IsNull": true, "Next": "Nowhere"}
    ]},
\t"Z": {"Type": "Pass", "End": true}
  }
}"""
YAML = """# a machine
StartAt: A b
States:
  A b:
    Type: Choice
    Choices:
      - Variable: $.x
        IsNull: true
        Next: Nowhere
  Z: {Type: Wait, Timestamp: 2024-01-02T03:04:05Z, End: true}
"""


def test_json_and_yaml_are_the_same_machine_and_their_problems_have_a_place() -> None:
    document = document_from_yaml(YAML)
    # a moment stays the text that it is written as
    assert document["States"]["Z"]["Timestamp"] == "2024-01-02T03:04:05Z"
    (missing, unreachable) = lint_document(document)
    assert missing.location == "/States/A b/Choices[0]/Next"
    assert place_of(missing.location, places(YAML)) == Place(9, 9)
    assert place_of(unreachable.location, places(YAML)) == Place(10, 3)
    (missing, unreachable) = lint_document(orjson.loads(JSON.replace("\t", " ")))
    assert place_of(missing.location, places(JSON)) == Place(5, 43)
    assert place_of(unreachable.location, places(JSON)) == Place(7, 2)


@pytest.mark.parametrize(
    ("location", "place"),
    [(None, Place(1, 1)), ("/", Place(1, 1)), ("/States/A b/Default", Place(4, 5)), ("/StartAt", Place(2, 3)),
     ("/States/A b/Choices[0]/Not/Variable", Place(5, 7))],
)  # fmt: skip
def test_what_is_not_there_is_where_it_belongs(location: str | None, place: Place) -> None:
    assert place_of(location, places(JSON)) == place


def test_text_that_is_neither() -> None:
    assert places("{: [") == {}
    with pytest.raises(InvalidDefinition):
        document_from_yaml("{: [")
