"""`hunter`: e-mail addresses of a company, of a person, and whether one takes mail, by Hunter."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import Field, model_validator

from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.client import WebResponse, retry_after

HUNTER_API_KEY = ServiceCredential(
    "HUNTER_API_KEY", "Make one at https://hunter.io/api-keys; there is a free plan."
)
_DOMAIN = r"^[^\s/?#@]+$"
_PENDING, _SMTP_FAILED = 202, 222
"""Of Hunter's own: a verification that goes on, and one that the other server broke off."""


class CompanyQuery(Input):
    """A company, by its domain or its name."""

    domain: str | None = Field(default=None, max_length=253, pattern=_DOMAIN)
    company: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_is_needed(self) -> CompanyQuery:
        if self.domain is None and self.company is None:
            raise ValueError("`domain` or `company` is needed")
        return self


class Domain(CompanyQuery):
    """`offset` skips results, for the next page."""

    limit: int = Field(default=10, ge=1, le=100, description="A page's length.")
    offset: int = Field(default=0, ge=0)
    type: Literal["personal", "generic"] | None = None
    seniority: str | None = Field(default=None, pattern=r"^[a-z,]{1,100}$")
    department: str | None = Field(default=None, pattern=r"^[a-z_,]{1,200}$")


class Person(CompanyQuery):
    """`full_name`, or `first_name` and `last_name`."""

    first_name: str | None = Field(default=None, min_length=1, max_length=100)
    last_name: str | None = Field(default=None, min_length=1, max_length=100)
    full_name: str | None = Field(default=None, min_length=1, max_length=200)


class AddressInput(Input):
    """An e-mail address."""

    email: str = Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")


class Count(CompanyQuery):
    """How many addresses Hunter knows; costs nothing."""

    type: Literal["personal", "generic"] | None = None


class AccountInput(Input):
    """No fields."""


class HunterOutput(Output):
    """`data` and `meta` as Hunter gives them. `pending`: a verification goes on; ask again in some seconds."""

    success: bool
    data: dict[str, Any]
    meta: dict[str, Any] = Field(default_factory=dict[str, Any])
    pending: bool = False


def _asks(route: str) -> Any:
    async def call(context: ServiceContext, asked: Input) -> HunterOutput:
        """Raises MissingCredential, TooBusy, UpstreamFailed, InvalidInput."""
        if isinstance(asked, Person) and not (asked.full_name or (asked.first_name and asked.last_name)):
            raise InvalidInput("Give `full_name`, or `first_name` and `last_name`.")
        key = await context.need("hunter", HUNTER_API_KEY)
        params = {name: str(value) for name, value in asked.model_dump(exclude_none=True).items()}
        reply = await context.web.api(
            context.settings.hunter_base_url, f"/{route}", params=params, headers={"X-API-KEY": key}
        )
        return _told(reply)

    return call


def _told(reply: WebResponse) -> HunterOutput:
    if reply.status == _PENDING:
        return HunterOutput(success=True, data={}, pending=True)
    if reply.status == _SMTP_FAILED:
        raise UpstreamFailed(
            "The mail server of this address broke off Hunter's verification.",
            upstream_status=reply.status,
            hint="Try again later.",
        )
    if reply.status >= 400:
        raise _refusal(reply)

    found = reply.json()
    if isinstance(found, dict):
        data = cast("dict[str, Any]", found).get("data")
    else:
        data = None

    if not isinstance(data, dict):
        raise UpstreamFailed(
            "Hunter answered in a shape that it should not have.", upstream_status=reply.status
        )

    meta = cast("dict[str, Any]", found).get("meta")
    return HunterOutput.model_validate(
        {"success": True, "data": data, "meta": meta if isinstance(meta, dict) else {}}
    )


def _refusal(reply: WebResponse) -> UpstreamFailed | TooBusy:
    # 403 is Hunter's for more calls in a second than it takes, 429 for a month's that are used up
    if reply.status == 403:
        return TooBusy("Hunter takes no more calls for now.", retry_after=retry_after(reply, 2))
    if reply.status == 429:
        return TooBusy(
            "The searches of this Hunter account are used up.",
            retry_after=retry_after(reply, 3600),
            hint="Wait for the next period, or take a larger plan.",
        )

    hints = {
        401: f"{HUNTER_API_KEY.name} is not valid any more.",
        400: "Check what was asked.",
        451: "The person asked Hunter not to process their data.",
    }
    return UpstreamFailed(
        f"Hunter answered {reply.status}.",
        upstream_status=reply.status,
        upstream_said=_details(reply),
        hint=hints.get(reply.status, ""),
    )


def _details(reply: WebResponse) -> str:
    """What its first error says: data, bounded."""
    try:
        text = str(reply.json()["errors"][0]["details"])
    except (UpstreamFailed, LookupError, TypeError):
        return ""
    return "".join(letter for letter in text if letter.isprintable())[:500]


_COMPANY = {"domain": "example.org"}

SERVICE = Service(
    name="hunter",
    title="Hunter",
    summary="E-mail addresses of companies and people, and whether one takes mail, by Hunter.",
    operations=(
        Operation(
            "Find the addresses of a company",
            Domain,
            HunterOutput,
            _asks("domain-search"),
            effect="reads",
            path="domain_search",
            aliases=("domain-search",),
            example=_COMPANY,
        ),
        Operation(
            "Find a person's address",
            Person,
            HunterOutput,
            _asks("email-finder"),
            effect="reads",
            path="find_email",
            aliases=("email-finder", "email_finder"),
            example=_COMPANY | {"full_name": "Ada Example"},
        ),
        Operation(
            "Verify an address",
            AddressInput,
            HunterOutput,
            _asks("email-verifier"),
            effect="reads",
            path="verify_email",
            aliases=("email-verifier", "email_verifier"),
            example={"email": "ada@example.org"},
        ),
        Operation(
            "Count a company's addresses",
            Count,
            HunterOutput,
            _asks("email-count"),
            effect="reads",
            path="count",
            aliases=("email-count",),
            example=_COMPANY,
        ),
        Operation(
            "Show what is left of the plan",
            AccountInput,
            HunterOutput,
            _asks("account"),
            effect="reads",
            path="account",
            example={},
        ),
    ),
    credentials=(HUNTER_API_KEY,),
)
