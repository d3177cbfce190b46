"""Host rules: the hosts that a secret may be sent to, and where in a request.

A secret without a rule is a plain variable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.model.host_names import normal_host

InjectionPoint = Literal["header", "basic", "query", "path"]
"""A position in a request: a header's value, the decoded user or password of `Authorization:
Basic`, the query, or the path.
"""
INJECTION_POINTS: Final[tuple[InjectionPoint, ...]] = get_args(InjectionPoint)
NAMED: Final = ("header", "query")
"""Places that may be one header or one parameter, as in `header:X-Api-Key` and `query:api_key`."""

HTTPS: Final = 443
MAX_HOSTS: Final = 20
MAX_PLACES: Final = 20
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_PARAMETER: Final = re.compile(r"[\w.\-\[\]$]{1,100}", re.ASCII)
_DEFAULT: Final[tuple[InjectionPoint, ...]] = ("header", "basic")


@dataclass(frozen=True, slots=True)
class HostRule:
    """`hosts` are (name, port) pairs that the value may be sent to over TLS; `places` are where it
    may be.
    """

    hosts: tuple[tuple[str, int], ...]
    places: tuple[str, ...] = _DEFAULT
    """Each is a position, or `header:` or `query:` with the name of a header (lower case) or
    parameter.
    """

    def allows(self, point: InjectionPoint, name: str) -> bool:
        """Whether the value may be at a position; `name` is the header or parameter there, or
        empty.
        """
        return point in self.places or (bool(name) and f"{point}:{name}" in self.places)

    def as_json(self) -> dict[str, Any]:
        """Return the stored form of the rule."""
        return {"hosts": self.names, "places": list(self.places)}

    @property
    def names(self) -> list[str]:
        """The hosts as they are typed: the port where it is not 443."""
        return [host if port == HTTPS else f"{host}:{port}" for host, port in self.hosts]


def make_rule(hosts: Collection[str], places: Collection[str] = ()) -> HostRule:
    """Make a rule from a person's input: `api.stripe.com`, `api.example.com:8443`.

    Raises InvalidInput.
    """
    if not 0 < len(hosts) <= MAX_HOSTS:
        raise InvalidInput(f"A host rule names 1 to {MAX_HOSTS} hosts.")
    parsed = dict.fromkeys(_parse_point(point) for point in places)
    if len(parsed) > MAX_PLACES:
        raise InvalidInput(f"A host rule names at most {MAX_PLACES} places.")
    # Sorted, so that equal rules are stored equally.
    chosen = tuple(sorted(parsed, key=_order)) or _DEFAULT
    return HostRule(tuple(dict.fromkeys(_parse_host(host) for host in hosts)), chosen)


def read_rule(stored: Mapping[str, Any] | None) -> HostRule | None:
    """See `HostRule.as_json`."""
    if stored is None:
        return None
    return make_rule(stored["hosts"], stored["places"])


def _parse_point(text: str) -> str:
    kind, colon, name = text.strip().partition(":")
    if not colon and kind in INJECTION_POINTS:
        return kind
    if kind == "header" and _HEADER.fullmatch(name):
        return f"header:{name.lower()}"
    if kind == "query" and _PARAMETER.fullmatch(name):
        return f"query:{name}"

    raise InvalidInput(
        "A secret stands in a header, in basic authentication, in the query or in the path.",
        hint=f"Give one of {', '.join(INJECTION_POINTS)}, or name the one header or parameter: header:X-Api-Key, query:api_key.",
    )


def _order(point: str) -> tuple[int, str]:
    kind = point.partition(":")[0]
    return [str(known) for known in INJECTION_POINTS].index(kind), point


def _parse_host(text: str) -> tuple[str, int]:
    name, colon, port = text.strip().partition(":")
    bare = normal_host(name) or ""
    # `isdigit` alone takes digits of other scripts, and a very long number takes long to read.
    if port.isascii() and port.isdigit() and len(port) < 6:
        number = int(port)
    else:
        number = 0

    # A certificate is checked against a name, so a rule has no addresses.
    if not bare or parse_address(bare) or (colon and not 0 < number < 65536):
        raise InvalidInput(
            "A host rule holds something that is not the name of a host.",
            hint="Write names as in api.stripe.com or api.example.com:8443: no scheme, no path, no address, no *. "
            "International names in their ASCII form.",
        )

    return bare, number or HTTPS


def _known(*hosts: str, places: Collection[str] = _DEFAULT) -> HostRule:
    return make_rule(hosts, places)


_NUMBERED = re.compile(r"_\d{1,2}\Z")
# Names that vendors' own documentation and SDKs use for their keys, and the hosts of their APIs.
WELL_KNOWN: Final[Mapping[str, HostRule]] = {
    "AIRTABLE_API_KEY": _known("api.airtable.com"),
    "ANTHROPIC_API_KEY": _known("api.anthropic.com"),
    "APIFY_TOKEN": _known("api.apify.com", places=("header", "query:token")),
    "ASANA_ACCESS_TOKEN": _known("app.asana.com"),
    "BRAVE_API_KEY": _known("api.search.brave.com"),
    "CLICKUP_API_TOKEN": _known("api.clickup.com"),
    "COHERE_API_KEY": _known("api.cohere.com", "api.cohere.ai"),
    "DEEPL_API_KEY": _known("api.deepl.com", "api-free.deepl.com"),
    "DEEPSEEK_API_KEY": _known("api.deepseek.com"),
    "DIGITALOCEAN_TOKEN": _known("api.digitalocean.com"),
    "DISCORD_BOT_TOKEN": _known("discord.com"),
    "ELEVENLABS_API_KEY": _known("api.elevenlabs.io"),
    "EXA_API_KEY": _known("api.exa.ai"),
    "FIGMA_TOKEN": _known("api.figma.com"),
    "GEMINI_API_KEY": _known("generativelanguage.googleapis.com", places=("header", "query:key")),
    "GITHUB_TOKEN": _known("api.github.com", "uploads.github.com"),
    "GITLAB_TOKEN": _known("gitlab.com"),
    "GOOGLE_MAPS_API_KEY": _known(
        "maps.googleapis.com", "places.googleapis.com", places=("header", "query:key")
    ),
    "GROQ_API_KEY": _known("api.groq.com"),
    "HF_TOKEN": _known("huggingface.co", "api-inference.huggingface.co", "router.huggingface.co"),
    "HUBSPOT_ACCESS_TOKEN": _known("api.hubapi.com"),
    "INTERCOM_ACCESS_TOKEN": _known("api.intercom.io"),
    "LINEAR_API_KEY": _known("api.linear.app"),
    "MAILGUN_API_KEY": _known("api.mailgun.net", "api.eu.mailgun.net"),
    "MISTRAL_API_KEY": _known("api.mistral.ai"),
    "NEWS_API_KEY": _known("newsapi.org", places=("header", "query:apiKey")),
    "NOTION_API_KEY": _known("api.notion.com"),
    "NOTION_TOKEN": _known("api.notion.com"),
    "OPENAI_API_KEY": _known("api.openai.com"),
    "OPENROUTER_API_KEY": _known("openrouter.ai"),
    "OPENWEATHER_API_KEY": _known("api.openweathermap.org", places=("header", "query:appid")),
    "PERPLEXITY_API_KEY": _known("api.perplexity.ai"),
    "PINECONE_API_KEY": _known("api.pinecone.io"),
    "REPLICATE_API_TOKEN": _known("api.replicate.com"),
    "RESEND_API_KEY": _known("api.resend.com"),
    "SENDGRID_API_KEY": _known("api.sendgrid.com"),
    "SERPAPI_API_KEY": _known("serpapi.com", places=("header", "query:api_key")),
    "SERPER_API_KEY": _known("google.serper.dev"),
    "SLACK_BOT_TOKEN": _known("slack.com"),
    "SLACK_USER_TOKEN": _known("slack.com"),
    "STRIPE_API_KEY": _known("api.stripe.com", "files.stripe.com"),
    "STRIPE_SECRET_KEY": _known("api.stripe.com", "files.stripe.com"),
    "TAVILY_API_KEY": _known("api.tavily.com"),
    "TELEGRAM_BOT_TOKEN": _known("api.telegram.org", places=("path",)),
    "TOGETHER_API_KEY": _known("api.together.xyz", "api.together.ai"),
    "TWILIO_AUTH_TOKEN": _known("api.twilio.com"),
    "TYPEFORM_ACCESS_TOKEN": _known("api.typeform.com"),
    "VERCEL_TOKEN": _known("api.vercel.com"),
    "XAI_API_KEY": _known("api.x.ai"),
}


def well_known(name: str) -> HostRule | None:
    """The rule that a name brings; of several keys, `OPENAI_API_KEY_2`, each has the first one's."""
    return WELL_KNOWN.get(_NUMBERED.sub("", name))
