from __future__ import annotations

import pytest

from hearth.embedded.companion import wanted
from hearth.embedded.process import StartFailed


def test_services_go_by_all_their_names() -> None:
    assert wanted("") == []
    assert wanted("s3, sqs,EventBridge") == ["s3", "sqs", "events"]


def test_service_without_a_companion_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(StartFailed, match=r"no companion for kms\. There are: s3"):
        wanted("s3,kms")
