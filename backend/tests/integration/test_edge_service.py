"""The embedded engine on a real disk: what only several processes, and a disk with an end, can show."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from chatbot_api.errors import NoRoom
from chatbot_api.models.domain import Entry, SearchQuery
from chatbot_api.services.edge_service import EdgeIndex, EdgeStore
from tests.conftest import manifest, passage

TOPIC = passage("A node publishes messages to a topic.")
READER = """
import asyncio, sys
from pathlib import Path
from chatbot_api.models.domain import SearchQuery
from chatbot_api.services.edge_service import EdgeStore

async def main():
    store = EdgeStore(Path(sys.argv[1]))
    found = await store.search(SearchQuery("topic", None))
    print(found.lexical[0].passage.text)
    sys.stdout.flush()
    sys.stdin.readline()
    await store.close()

asyncio.run(main())
"""


async def publish(folder: Path, generation: str) -> None:
    index = EdgeIndex(folder)
    wanted = manifest(lexical=index.lexical, passages=1, has_vectors=False, generation=generation)
    async with index.writing(), index.generation(wanted) as writer:
        await writer.put([Entry(TOPIC, None)])
        await writer.publish()


async def test_any_number_of_processes_read_while_another_one_writes(tmp_path: Path) -> None:
    await publish(tmp_path, "20260101T000000000001-0123abcd")
    readers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", READER, str(tmp_path), stdin=PIPE, stdout=PIPE)
        for _ in range(3)
    ]
    first_words = [await reader.stdout.readline() for reader in readers if reader.stdout]

    await publish(tmp_path, "20260101T000000000002-0123abcd")
    store = EdgeStore(tmp_path)
    found = await store.search(SearchQuery("topic", None))
    await store.close()

    for reader in readers:
        await reader.communicate(b"\n")
    assert first_words == [f"{TOPIC.text}\n".encode()] * 3
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert found.lexical[0].passage == TOPIC


async def test_a_generation_that_the_disk_cannot_hold_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    await publish(tmp_path, "20260101T000000000001-0123abcd")
    index = EdgeIndex(tmp_path)
    huge = manifest(lexical=index.lexical, passages=10**12, generation="20260101T000000000002-0123abcd")

    async with index.writing():
        with pytest.raises(NoRoom, match="make room or set DATA_DIR"):
            async with index.generation(huge):
                pass

    current = await index.current()
    assert current is not None
    assert current.generation == "20260101T000000000001-0123abcd"
