"""Settings as people type them."""

from __future__ import annotations

import pytest

from codewords_mcp.cli._connect import read_settings
from codewords_mcp.errors import InvalidInput

pytestmark = pytest.mark.requirement("cli:settings-lists")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1:11434", ["127.0.0.1:11434"]),
        ("127.0.0.1:11434, nas.lan:80 ,", ["127.0.0.1:11434", "nas.lan:80"]),
        ('["127.0.0.1:11434"]', ["127.0.0.1:11434"]),
        ("", []),
    ],
)
def test_a_list_is_json_or_words_between_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, read: list[str]
) -> None:
    monkeypatch.setenv("CODEWORDS_EGRESS_ALLOW_PRIVATE", text)
    assert read_settings().egress_allow_private == read


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CODEWORDS_EGRESS_ALLOW_PRIVATE", "[127.0.0.1:80"),
        ("CODEWORDS_EGRESS_ALLOW_PRIVATE", '{"a": 1}'),
        ("CODEWORDS_MODEL_FALLBACKS", "gpt"),
        ("CODEWORDS_PORT", "eighty"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(InvalidInput, match=f"^{name} cannot be used: ") as refused:
        read_settings()
    assert "settings.md" in refused.value.hint
