"""Ids cut from one block of random bytes are as good as ids made one by one."""

from __future__ import annotations

import os
import re
import uuid

from gateway import ids


def test_request_ids_are_random_uuids_and_differ() -> None:
    made = [ids.new_request_id() for _ in range(2000)]  # several blocks
    assert len(set(made)) == len(made)
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


def test_all_variants_of_a_uuid_occur() -> None:
    assert {ids.new_request_id()[19] for _ in range(500)} == set("89ab")


def test_trace_id_has_the_form_of_xray() -> None:
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", ids.new_trace_id())


def test_forked_process_makes_other_ids() -> None:
    ids.new_request_id()  # a block is there to be shared
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, ids.new_request_id().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    theirs = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert theirs != ids.new_request_id()
