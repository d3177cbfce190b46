"""Providers that an operator configured and that have no key: told by doctor, before a call is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runtime import ADMIN, make_home, open_runtime

from codewords_mcp.cli.doctor.configured import configured_findings


@pytest.mark.anyio
@pytest.mark.requirement("cli:keyless-providers")
async def test_doctor_tells_of_a_configured_provider_without_a_key_until_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OWNED_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    providers = {
        "owned": {"base_url": "http://127.0.0.1:9/v1"},
        "ollama": {"base_url": "http://127.0.0.1:9/v1"},
    }
    async with open_runtime(make_home(tmp_path / "home"), providers=providers, shares_driver=True) as runtime:
        # Groq is known without an entry, and Ollama needs no key.
        [finding] = configured_findings(await runtime.status.describe(ADMIN))
        assert (finding.id, finding.status) == ("providers", "warning")
        assert "The model provider owned is in CODEWORDS_PROVIDERS and has no key" in finding.detail
        assert finding.fix == "`codewords secrets set OWNED_API_KEY` sets it."

        await runtime.secrets.set(ADMIN, "OWNED_API_KEY", "sk-of-the-tests")
        assert configured_findings(await runtime.status.describe(ADMIN)) == []
