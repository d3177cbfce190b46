"""Exceptions of the SDK and the network as errors of ours, with the cause and the fix.

E2B's own words never get into a message; a few of them tell one cause from another.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from codewords_mcp.errors import CodewordsError, SandboxFailed, SandboxUnavailable, TooBusy
from codewords_mcp.errors.remedies import Remedy, RemedyAction, add_package

BUILD_TEMPLATE: Final = Remedy(RemedyAction.BUILD_E2B_TEMPLATE)
_KEYS: Final = (
    "Make one at https://e2b.dev/dashboard?tab=keys and start the runtime with E2B_API_KEY set to it."
)
_STATUS: Final = "https://status.e2b.dev says whether it is E2B's; then try again."
_NETWORK: Final = "Check this machine's network, and CODEWORDS_E2B_PROXY if it needs a proxy."
_RETRY_AFTER: Final = 5

log = structlog.get_logger(__name__)


class MachineGone(SandboxFailed):
    """The sandbox is not there any more."""


class TemplateMissing(SandboxUnavailable):
    """There is no template or snapshot of this name."""


def no_key() -> SandboxUnavailable:
    """Nothing was configured."""
    return SandboxUnavailable(
        "CODEWORDS_SANDBOX=e2b needs a key of E2B, and E2B_API_KEY is not set.", hint=_KEYS
    )


def no_sdk() -> SandboxUnavailable:
    """The package is absent or broken."""
    return SandboxUnavailable(
        "The package e2b cannot be imported.",
        remedy=add_package("e2b>=2.25,<3", "e2b"),
    )


def gone() -> MachineGone:
    """E2B does not know the sandbox any more."""
    return MachineGone(
        "E2B ended the sandbox: its time ran out, or somebody killed it.",
        hint="If this machine slept meanwhile, that is why; else run it again.",
    )


def no_snapshots() -> SandboxFailed:
    """The API has no list of snapshots: a cloud of one's own, or an account without that feature."""
    return SandboxFailed(
        "This E2B has no snapshots, in which environments are stored.",
        hint="Workflows cannot run there without them: ask whoever runs it to enable snapshots.",
    )


def template_missing(name: str) -> TemplateMissing:
    """The template of the settings was never built for this key."""
    return TemplateMissing(f"E2B has no template called {name} for this key.", remedy=BUILD_TEMPLATE)


def translate(error: BaseException, doing: str) -> CodewordsError:
    """The error for whatever an SDK call raised. `doing` completes "E2B failed while …"."""
    # Imported here: the SDK takes a second, and most homes do not use it.
    import e2b
    import httpx

    if isinstance(error, CodewordsError):
        return error
    if isinstance(error, e2b.AuthenticationException):
        return SandboxUnavailable("E2B does not accept the key in E2B_API_KEY.", hint=_KEYS)
    if isinstance(error, e2b.RateLimitException):
        return _limited(str(error))
    if _is(error, "ServiceBusyException"):
        return _busy()
    # Before `HTTPError`, which a timeout is too.
    if isinstance(error, httpx.TimeoutException | e2b.TimeoutException | TimeoutError):
        return SandboxFailed(f"E2B did not answer in time while {doing}.", hint=_STATUS)
    if isinstance(error, httpx.HTTPError):
        log.info("E2B unreachable", doing=doing, error=repr(error)[:500])
        return SandboxUnavailable(f"E2B cannot be reached while {doing}.", hint=_NETWORK)
    if isinstance(error, e2b.NotFoundException):
        return gone()
    if isinstance(error, e2b.BuildException):
        return _build_failed(error, doing)
    if isinstance(error, e2b.SandboxException):
        return _by_status(error, doing)
    if isinstance(error, ValueError):
        # A page of whatever stands before the API, where its JSON was expected.
        return SandboxFailed(f"E2B answered with nothing that can be understood while {doing}.", hint=_STATUS)

    log.error("E2B SDK failed", doing=doing, exc_info=error)
    # E2B's own words stay in the log.
    return SandboxFailed(f"The E2B SDK failed while {doing}.", hint="The runtime's log has the details.")


def _build_failed(error: BaseException, doing: str) -> SandboxFailed:
    """The SDK has no status for what the API refuses here."""
    log.error("E2B build failed", doing=doing, error=str(error)[:500])
    if str(error).startswith("API error") or _leading_number(str(error)):
        return SandboxFailed(
            f"E2B refused what was asked while {doing}.", hint=f"Check the account's plan; {_STATUS}"
        )
    return SandboxFailed(f"E2B failed while {doing}.", hint="The end of the build's log, above, says why.")


def _is(error: BaseException, name: str) -> bool:
    """By the name of the SDK's class: versions differ in which they have."""
    import e2b

    kind = getattr(e2b, name, None)
    return kind is not None and isinstance(error, kind)


def _limited(text: str) -> TooBusy:
    if "concurrent" in text:
        return TooBusy(
            "The E2B account runs as many sandboxes at once as its plan allows.",
            retry_after=_RETRY_AFTER,
            hint="Try again when some have ended, set CODEWORDS_E2B_SANDBOXES lower, or raise the plan's limit.",
        )

    return TooBusy(
        "E2B turns requests away: too many of this account in a short time.",
        retry_after=_RETRY_AFTER,
        hint="Try again, or set CODEWORDS_E2B_CREATES to what the plan allows a second.",
    )


def _busy() -> TooBusy:
    return TooBusy(
        "E2B has no room for another sandbox at the moment.", retry_after=_RETRY_AFTER, hint="Try again soon."
    )


def _by_status(error: Any, doing: str) -> CodewordsError:
    """The rest of the API's answers. Older SDKs have the status only in the text."""
    text = str(error)
    status: int = getattr(error, "status_code", None) or _leading_number(text)
    if status == 400 and ("Timeout cannot be greater" in text or "Max instance length" in text):
        return SandboxFailed(
            "E2B's plan does not allow a sandbox to live that long.", hint="Set CODEWORDS_E2B_TTL lower."
        )
    if status == 401:
        return SandboxUnavailable("E2B does not accept the key in E2B_API_KEY.", hint=_KEYS)
    if status == 403:
        return SandboxUnavailable(
            f"E2B does not allow this account what was asked while {doing}.",
            hint="It may need another plan, or a feature that E2B has to switch on.",
        )
    if status == 404:
        return gone()
    if status == 429:
        return _limited(text)
    if status == 503:
        return _busy()
    if status >= 500:
        return SandboxFailed(f"E2B failed while {doing} (status {status}).", hint=_STATUS)

    kind = f"status {status}" if status else "no status"
    log.error("E2B refused a request", doing=doing, status=status, error=text[:500])
    return SandboxFailed(
        f"E2B refused what was asked while {doing} ({kind}).", hint="The runtime's log has its words."
    )


def _leading_number(text: str) -> int:
    head = text.partition(":")[0]
    if head.isdigit() and len(head) == 3:
        return int(head)
    return 0
