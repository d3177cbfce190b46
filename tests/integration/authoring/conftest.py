"""One runtime for all of a file, with a scripted model behind its gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.runtime import make_home, open_runtime

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_testing.providers import LoopbackProviders, loopback_providers

KEY = "sk-scripted-model"


@pytest.fixture(scope="module")
def model() -> Iterator[LoopbackProviders]:
    with loopback_providers({"openai": KEY}) as running:
        yield running


@pytest.fixture(scope="module")
async def runtime(
    tmp_path_factory: pytest.TempPathFactory, model: LoopbackProviders
) -> AsyncIterator[Runtime]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("OPENAI_API_KEY", KEY)
        home = make_home(tmp_path_factory.mktemp("home"))
        async with open_runtime(home, openai_base_url=model.url) as opened:
            yield opened
