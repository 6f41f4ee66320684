"""The API does what its OpenAPI document says, whatever is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from chatbot_api.main import create_app
from tests.unit.test_main import World


async def schema_of(world: World) -> schemathesis.BaseSchema:
    await world.fill()
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(world.settings, world.open))


@pytest.mark.parametrize("operation", ["POST /chat", "GET /health", "GET /health/live", "GET /config"])
def test_every_answer_is_one_that_the_document_names(operation: str) -> None:
    method, path = operation.split()
    schema = asyncio.run(schema_of(World()))

    @given(case=schema[path][method].as_strategy())
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    def answers(case: schemathesis.Case[Any]) -> None:
        # Whether a page is known, no schema can say: a well-formed question may still be refused.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    answers()
