"""Named providers: model providers beside the three with mounts of their own.

Presets have an address and wait for their key. `CODEWORDS_PROVIDERS` changes them and adds others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.model.manifest import WORKFLOW_ID
from codewords_mcp.runtime.model.provider import OWN_PROVIDERS, Interface
from codewords_mcp.runtime.model.service_table import SERVICES
from codewords_mcp.settings import ProviderSettings

_LOCATION: Final = "global"
_PLACE: Final = re.compile(r"[a-z][a-z0-9-]{1,62}", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NamedProvider:
    """A provider by its name.

    `tables` are the providers of genai-prices whose models it serves. `prices`: model, or `*` for any → {input, output,
    cached?} in USD per million tokens, which come first. `system` is its name in telemetry.
    """

    name: str
    title: str
    base_url: str
    interface: Interface = "openai"
    tables: tuple[str, ...] = ()
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    system: str = ""
    needs_key: bool = True
    region: str = ""
    """AWS's, for which requests are signed."""
    scope: str = ""
    """`projects/…/locations/…` of Vertex."""
    token_url: str = ""
    """Where Google's tokens are fetched, if elsewhere than usual."""
    reports_unasked: bool = False
    """Its streams report usage by themselves, and a request for that is an error."""


_OLLAMA: Final = NamedProvider(
    "ollama", "Ollama", "http://127.0.0.1:11434/v1", prices={"*": {"input": 0, "output": 0}}, needs_key=False
)
PRESETS: Final[Mapping[str, NamedProvider]] = {
    preset.name: preset
    for preset in (
        NamedProvider("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", tables=("openrouter",)),
        NamedProvider("groq", "Groq", "https://api.groq.com/openai/v1", tables=("groq",)),
        NamedProvider(
            "mistral", "Mistral", "https://api.mistral.ai/v1",
            tables=("mistral",), system="mistral_ai", reports_unasked=True,
        ),
        NamedProvider("deepseek", "DeepSeek", "https://api.deepseek.com/v1", tables=("deepseek",)),
        NamedProvider("xai", "xAI", "https://api.x.ai/v1", tables=("x-ai",), system="x_ai"),
    )
}  # fmt: skip
"""Providers that need a key and nothing else."""
_ADDRESSED: Final[Mapping[str, NamedProvider]] = {
    # Reached only where the operator says so: one is a server of this network, the other has an address of its own.
    "ollama": _OLLAMA,
    "azure": NamedProvider(
        "azure", "Azure OpenAI", "", "azure", tables=("azure", "openai"), system="azure.ai.openai"
    ),
    "bedrock": NamedProvider("bedrock", "Bedrock", "", "bedrock", tables=("aws",), system="aws.bedrock"),
    "vertex": NamedProvider(
        "vertex", "Vertex AI", "", "vertex", tables=("google", "anthropic"), system="gcp.vertex_ai"
    ),
}
_TABLES: Final[Mapping[Interface, tuple[str, ...]]] = {
    "azure": ("azure", "openai"),
    "anthropic": ("anthropic",),
    "bedrock": ("aws",),
    "vertex": ("google", "anthropic"),
}


class NamedProviders:
    """The named providers of a home. Raises InvalidInput for settings that cannot work."""

    def __init__(self, settings: Mapping[str, ProviderSettings]) -> None:
        self._known = dict(PRESETS)
        for name, chosen in settings.items():
            self._known[name] = _configured(name, chosen)

    def __contains__(self, name: str) -> bool:
        """Whether a provider of this name is known."""
        return name in self._known

    def __iter__(self) -> Iterator[NamedProvider]:
        """The providers, by name."""
        return iter(sorted(self._known.values(), key=lambda provider: provider.name))

    def find(self, name: str) -> NamedProvider | None:
        """Find a provider; None for those with mounts of their own, and unknown ones."""
        return self._known.get(name)

    def require(self, name: str) -> NamedProvider:
        """Find a provider. Raises NotFound."""
        found = self._known.get(name)
        if found is None:
            raise NotFound(
                "This runtime has no model provider of that name.",
                hint=f"It has {', '.join(sorted(self._known))}; CODEWORDS_PROVIDERS adds others.",
            )
        return found


def _configured(name: str, chosen: ProviderSettings) -> NamedProvider:
    _check_name(name)
    known = PRESETS.get(name) or _ADDRESSED.get(name)
    interface = chosen.interface or (known.interface if known else "openai")
    _check_places(name, chosen, interface)
    base_url = chosen.base_url or (known.base_url if known else "") or _cloud_address(chosen, interface)
    if not _is_address(base_url):
        raise InvalidInput(
            f"CODEWORDS_PROVIDERS gives {name} no `base_url` that can be called.",
            hint="Write an address like https://models.example.com/v1, without user, query and fragment.",
        )

    if known is None or interface != known.interface:
        known = NamedProvider(name, name, "", tables=_TABLES.get(interface, ()))
    needs_key = known.needs_key if chosen.needs_key is None else chosen.needs_key
    if chosen.credentials == "environment":
        needs_key = False
    scope = f"projects/{chosen.project}/locations/{chosen.location or _LOCATION}" if chosen.project else ""
    reports_unasked = known.reports_unasked if chosen.stream_usage is None else not chosen.stream_usage
    return replace(
        known,
        title=chosen.title or known.title,
        base_url=base_url.rstrip("/"),
        interface=interface,
        prices=chosen.prices or known.prices,
        needs_key=needs_key,
        region=chosen.region or "us-east-1",
        scope=scope,
        token_url=chosen.token_url or "",
        reports_unasked=reports_unasked,
    )


def _check_places(name: str, chosen: ProviderSettings, interface: Interface) -> None:
    places = [place for place in (chosen.region, chosen.project, chosen.location) if place is not None]
    if not all(map(_PLACE.fullmatch, places)) or (chosen.token_url and not _is_address(chosen.token_url)):
        raise InvalidInput(
            f"CODEWORDS_PROVIDERS gives {name} a region, project, location or `token_url` that is none.",
            hint='Write for example {"bedrock": {"region": "eu-central-1"}, "vertex": {"project": "team"}}.',
        )
    if interface == "vertex" and chosen.credentials == "environment" and not chosen.project:
        raise InvalidInput(
            f"CODEWORDS_PROVIDERS gives {name} no `project`, which the machine's credentials need."
        )


def _cloud_address(chosen: ProviderSettings, interface: Interface) -> str:
    """A cloud's address in a region or location."""
    if interface == "bedrock" and chosen.region:
        return f"https://bedrock-runtime.{chosen.region}.amazonaws.com"
    if interface != "vertex":
        return ""
    location = chosen.location or _LOCATION
    if location == _LOCATION:
        return "https://aiplatform.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _check_name(name: str) -> None:
    taken = name in OWN_PROVIDERS or name in SERVICES or WORKFLOW_ID.fullmatch(name)
    if taken or not _NAME.fullmatch(name):
        raise InvalidInput(
            "CODEWORDS_PROVIDERS has a name that no provider can have.",
            hint="A name is up to 32 lower-case letters, digits, `-` and `_`, begins with a letter, and is none of openai, "
            "anthropic, gemini (these have settings of their own), a library service and a workflow.",
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # The port is checked when it is read, not when the address is split.
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return bool(
        plain
        and parts.scheme in {"http", "https"}
        and parts.hostname
        and port != 0
        and "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
    )
