"""The promises of `Embedder`, over the fake, the packaged model, and the clients of services against their wires."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr

from chatbot_api.models.domain import TitledText
from chatbot_api.ports import Embedder
from chatbot_api.services.gemini_service import GeminiService
from chatbot_api.services.local_service import LocalService
from chatbot_api.services.openai_service import OpenAIClient, OpenAIEmbedder
from chatbot_api.testing import HashEmbedder
from tests.gemini_server import GeminiServer
from tests.openai_server import OpenAIServer


@pytest.fixture(params=["fake", "local", "gemini", "openai"])
async def embedder(request: pytest.FixtureRequest) -> AsyncGenerator[Embedder, None]:
    if request.param == "gemini":
        async with GeminiServer() as server:
            service = gemini(server.url)
            yield service.embedder
            await service.close()
        return
    if request.param == "openai":
        async with OpenAIServer(key=None) as compatible:
            yield (
                embedder := OpenAIEmbedder(OpenAIClient(compatible.url, None), "bge-m3", dimensions=1024, timeout=10)
            )
            await embedder.close()
        return
    opened: Embedder = HashEmbedder() if request.param == "fake" else LocalService()
    yield opened
    await opened.close()


def gemini(url: str) -> GeminiService:
    return GeminiService(
        SecretStr("test-key"),
        embedding_model="gemini-embedding-001",
        embedding_dimensions=768,
        answer_models=("gemini-3.5-flash-lite",),
        base_url=url,
        api_version="v1beta",
        embed_timeout=10,
        answer_timeout=10,
    )


def close_to(left: object, right: object) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(left, right, strict=True))  # type: ignore[call-overload]  # vectors


async def test_vectors_are_finite_of_unit_length_and_of_the_dimensions_it_names(embedder: Embedder) -> None:
    vectors = [await embedder.embed_question("topic"), *await embedder.embed_passages([TitledText("T", "text")])]

    for vector in vectors:
        assert len(vector) == embedder.dimensions
        assert all(map(math.isfinite, vector))
        assert math.isclose(math.sqrt(sum(value * value for value in vector)), 1, abs_tol=1e-4)


async def test_passages_get_one_vector_each_in_their_order(embedder: Embedder) -> None:
    texts = [TitledText("", f"passage about {name}") for name in ("a longer thing with many words", "it", "cats")]

    together = await embedder.embed_passages(texts)

    alone = [(await embedder.embed_passages([text]))[0] for text in texts]
    assert len(together) == 3
    assert all(close_to(a, b) for a, b in zip(together, alone, strict=True))


async def test_no_passages_are_no_vectors(embedder: Embedder) -> None:
    assert await embedder.embed_passages([]) == []


async def test_a_full_batch_is_taken(embedder: Embedder) -> None:
    texts = [TitledText("", f"text {n}") for n in range(embedder.batch_size)]

    assert len(await embedder.embed_passages(texts)) == embedder.batch_size


async def test_a_check_of_what_works_has_something_to_tell(embedder: Embedder) -> None:
    remarks = await embedder.check()

    assert remarks
    assert all(remark.text for remark in remarks)


async def test_closing_twice_is_allowed(embedder: Embedder) -> None:
    await embedder.embed_question("topic")

    await embedder.close()
    await embedder.close()
