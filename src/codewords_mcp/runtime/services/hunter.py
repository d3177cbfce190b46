"""`hunter`: e-mail addresses of a company or a person, and their verification, by Hunter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from pydantic import Field, model_validator

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

HUNTER_API_KEY = ServiceCredential(
    "HUNTER_API_KEY", "Make one at https://hunter.io/api-keys; there is a free plan."
)
_DOMAIN = r"^[^\s/?#@]+$"
# Statuses of Hunter's own: a verification in progress, and one that the mail server interrupted.
_PENDING, _SMTP_FAILED = 202, 222


class CompanyQuery(Input):
    """A company, by its domain or its name."""

    domain: str | None = Field(default=None, max_length=253, pattern=_DOMAIN)
    company: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_is_needed(self) -> CompanyQuery:
        if self.domain is None and self.company is None:
            raise ValueError("`domain` or `company` is needed")
        return self


class DomainSearch(CompanyQuery):
    """A search of a domain. `offset` skips results, for the next page."""

    limit: int = Field(default=10, ge=1, le=100, description="A page's length.")
    offset: int = Field(default=0, ge=0)
    type: Literal["personal", "generic"] | None = None
    seniority: str | None = Field(default=None, pattern=r"^[a-z,]{1,100}$")
    department: str | None = Field(default=None, pattern=r"^[a-z_,]{1,200}$")


class PersonQuery(CompanyQuery):
    """A person, by `full_name`, or by `first_name` and `last_name`."""

    first_name: str | None = Field(default=None, min_length=1, max_length=100)
    last_name: str | None = Field(default=None, min_length=1, max_length=100)
    full_name: str | None = Field(default=None, min_length=1, max_length=200)


class AddressInput(Input):
    """An e-mail address."""

    email: str = Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")


class CountQuery(CompanyQuery):
    """The number of addresses that Hunter knows; costs nothing."""

    type: Literal["personal", "generic"] | None = None


class AccountInput(Input):
    """No fields."""


class HunterOutput(Output):
    """`data` and `meta` as Hunter returns them. `pending`: the verification is in progress; ask
    again in some seconds.
    """

    success: bool
    data: dict[str, Any]
    meta: dict[str, Any] = Field(default_factory=dict[str, Any])
    pending: bool = False


def _query_function(route: str) -> Callable[[ServiceContext, Input], Awaitable[HunterOutput]]:
    async def call(context: ServiceContext, params: Input) -> HunterOutput:
        """Query Hunter. Raises MissingCredential, TooBusy, UpstreamFailed, InvalidInput."""
        if isinstance(params, PersonQuery) and not (
            params.full_name or (params.first_name and params.last_name)
        ):
            raise InvalidInput(
                "`full_name` is missing.", hint="Give `full_name`, or `first_name` and `last_name`."
            )
        key = await context.need("hunter", HUNTER_API_KEY)
        query = {name: str(value) for name, value in params.model_dump(exclude_none=True).items()}
        # In a header, since keys in addresses end in logs.
        response = await context.web.api(
            context.settings.hunter_base_url, f"/{route}", params=query, headers={"X-API-KEY": key}
        )
        return _to_output(response)

    return call


def _to_output(response: WebResponse) -> HunterOutput:
    if response.status == _PENDING:
        return HunterOutput(success=True, data={}, pending=True)
    if response.status == _SMTP_FAILED:
        raise UpstreamFailed(
            "The mail server of this address interrupted Hunter's verification.",
            upstream_status=response.status,
            hint="Try again later.",
        )
    if response.status >= 400:
        raise _to_error(response)

    found = response.json()
    if isinstance(found, dict):
        data = cast("dict[str, Any]", found).get("data")
    else:
        data = None

    if not isinstance(data, dict):
        raise UpstreamFailed("Hunter's response has an unexpected format.", upstream_status=response.status)

    meta = cast("dict[str, Any]", found).get("meta")
    return HunterOutput.model_validate({"success": True, "data": data, "meta": object_of(meta)})


def _to_error(response: WebResponse) -> UpstreamFailed | TooBusy:
    # Hunter answers 403 for too many calls in a second, 429 for a month's quota that is used up.
    if response.status == 403:
        return TooBusy("Hunter's rate limit is reached.", retry_after=retry_after(response, 2))
    if response.status == 429:
        return TooBusy(
            "The searches of this Hunter account are used up.",
            retry_after=retry_after(response, 3600),
            hint="Wait for the next period, or take a larger plan.",
        )

    hints = {
        401: f"{HUNTER_API_KEY.name} is not valid.",
        400: "Check the input.",
        451: "The person asked Hunter not to process their data.",
    }
    return UpstreamFailed(
        f"Hunter answered {response.status}.",
        upstream_status=response.status,
        upstream_said=_error_details(response),
        hint=hints.get(response.status, ""),
    )


def _error_details(response: WebResponse) -> str:
    """Return the first error's text, bounded. It is data, not a message of ours."""
    try:
        text = str(response.json()["errors"][0]["details"])
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
            DomainSearch,
            HunterOutput,
            _query_function("domain-search"),
            effect="reads",
            path="domain_search",
            aliases=("domain-search",),
            example=_COMPANY,
        ),
        Operation(
            "Find a person's address",
            PersonQuery,
            HunterOutput,
            _query_function("email-finder"),
            effect="reads",
            path="find_email",
            aliases=("email-finder", "email_finder"),
            example=_COMPANY | {"full_name": "Ada Example"},
        ),
        Operation(
            "Verify an address",
            AddressInput,
            HunterOutput,
            _query_function("email-verifier"),
            effect="reads",
            path="verify_email",
            aliases=("email-verifier", "email_verifier"),
            example={"email": "ada@example.org"},
        ),
        Operation(
            "Count a company's addresses",
            CountQuery,
            HunterOutput,
            _query_function("email-count"),
            effect="reads",
            path="count",
            aliases=("email-count",),
            example=_COMPANY,
        ),
        Operation(
            "Show what is left of the plan",
            AccountInput,
            HunterOutput,
            _query_function("account"),
            effect="reads",
            path="account",
            example={},
        ),
    ),
    credentials=(HUNTER_API_KEY,),
)
