"""Every error that reaches a person, a model or a client, with one table to the wire.

    CodewordsError                      code                 status  origin
    ├── InvalidInput                    invalid_input        400     platform
    │   ├── InvalidScript               invalid_script       422     (line, column)
    │   └── BodyTooLarge                body_too_large       413
    ├── Unauthenticated                 unauthenticated      401
    ├── Forbidden                       forbidden            403
    │   ├── UnpricedModel               unpriced_model       403     nobody can say what the call costs
    │   ├── ModelNotAllowed             model_not_allowed    403     the key's or the workflow's list lacks it
    │   ├── AddressRefused              address_refused      403     an address that services may not reach
    │   ├── NotAgreed                   not_agreed           403     a call that the workflow's manifest does not list
    │   └── ConsentNeeded               consent_needed       403     (asks, confirm, url)
    ├── NotFound                        not_found            404
    ├── MethodNotAllowed                method_not_allowed   405     (allow)
    ├── WrongHost                       wrong_host           421
    ├── Conflict                        conflict             409
    ├── ValidationFailed                validation_failed    422     (report)
    ├── TooBusy                         too_busy             429     (retry_after, seconds; limit, whose)
    ├── RunTimedOut                     run_timed_out        504
    ├── RunPending                      run_pending          504
    ├── RunCancelled                    run_cancelled        499
    ├── RunInterrupted                  interrupted          503     the runtime stopped while the run was in flight
    ├── ProgramFailed                   program_*            502     service: the workflow's own failure
    ├── ServiceNotAvailable             service_not_available 501    a library service that is not here
    │   ├── MissingCredential           missing_credential   424     (credential)
    │   └── NotConnected                not_connected        424
    ├── UpstreamFailed                  upstream_failed      502     (upstream_status, upstream_said) of what a service asked
    │   ├── IntegrationFailed           integration_failed   502     an action of an app that said it failed
    │   └── UpstreamTimedOut            upstream_timed_out   504
    ├── BudgetExceeded                  budget_exceeded      402     (limit, spent, what would fit)
    ├── ModelAnswerInvalid              model_answer_invalid 502     an answer that is no answer: cut, refused, of another shape
    ├── ProviderRefused                 provider_refused     502     a model provider's own error, by its status
    ├── ProviderUnavailable             provider_unavailable 502     a model provider cannot be reached, or broke off
    ├── ProviderTimedOut                provider_timed_out   504
    ├── EnvironmentFailed               environment_failed   422     a dependency cannot be installed
    ├── SandboxUnavailable              sandbox_unavailable  503     no isolation on this machine
    ├── SandboxFailed                   sandbox_failed       500     a sandbox broke, not the program in it
    ├── RuntimeUnavailable              runtime_unavailable  503     the home's runtime does not start, answer or end
    └── StorageFailed                   storage_failed       507     disk full, read-only home, locked home

A failing program is a result, a failing sandbox is an error: `ProgramFailed.origin` is "service",
everything else's is "platform", and the HTTP door says so in `Error-Origin`.

Messages hold only our own words and validated names; text from outside never enters them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Origin = Literal["platform", "service"]


class CodewordsError(Exception):
    """A failure with a stable `code`, a sentence a person can act on, and an HTTP status.

    `message` says what was wrong and where; `hint` says what to do, and may be empty.
    `run_id` is the run that it ended, where one was recorded.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    origin: ClassVar[Origin] = "platform"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.run_id: str | None = None

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def details(self) -> dict[str, Any]:
        """Fields beside code, message and hint that the wire carries."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The wire form: `{code, message, hint?, origin, …details}`."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "origin": self.origin}
        if self.hint:
            body["hint"] = self.hint
        return body | self.details()


class InvalidInput(CodewordsError):
    """An argument, body or name that cannot be accepted as it is."""

    code = "invalid_input"
    status = 400


class InvalidScript(InvalidInput):
    """Code that cannot be read as a workflow. `line` and `column` count from 1."""

    code = "invalid_script"
    status = 422

    def __init__(
        self, message: str, *, hint: str = "", line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"line": self.line, "column": self.column}


class BodyTooLarge(InvalidInput):
    """A request body over the limit of the settings."""

    code = "body_too_large"
    status = 413


class Unauthenticated(CodewordsError):
    """No key, an unknown key, an expired one, or a one-time key that was used."""

    code = "unauthenticated"
    status = 401


class InvalidToken(Unauthenticated):
    """An access token of an authorization server that is not good here."""


class Forbidden(CodewordsError):
    """A valid key that may not do this."""

    code = "forbidden"
    status = 403


class InsufficientScope(Forbidden):
    """A key or token without the scope that this takes. `by_token`: its bearer can ask for a further one."""

    code = "insufficient_scope"

    def __init__(self, scope: str, *, by_token: bool) -> None:
        super().__init__(
            f"This needs the scope {scope}, which the key does not have.",
            hint="Sign in again and grant it."
            if by_token
            else f"`codewords keys create --scope …,{scope}` makes one with it.",
        )
        self.scope = scope
        self.by_token = by_token

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"scope": self.scope}


class UnpricedModel(Forbidden):
    """A call under a budget whose price nobody knows."""

    code = "unpriced_model"


class ModelNotAllowed(Forbidden):
    """A model that the caller's key, or the header of its workflow, does not list."""

    code = "model_not_allowed"


class AddressRefused(Forbidden):
    """An address that a library service may not reach for its caller: private, or not in the workflow's own list."""

    code = "address_refused"


class NotAgreed(Forbidden):
    """A workflow's call of a service, model or workflow that its manifest does not list."""

    code = "not_agreed"


class ConsentNeeded(Forbidden):
    """A deploy that waits for a person's yes; nothing was changed.

    `asks` are lines for that person, `confirm` the token of this very `question`, `url` the page on which to answer it.
    """

    code = "consent_needed"

    def __init__(
        self, message: str, *, asks: list[str], confirm: str, url: str, hint: str = "", question: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.question = question or message
        self.asks = asks
        self.confirm = confirm
        self.url = url

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"asks": self.asks, "confirm": self.confirm, "url": self.url}


class NotFound(CodewordsError):
    """An id that does not exist for this caller. Another caller's ids look the same."""

    code = "not_found"
    status = 404


class MethodNotAllowed(CodewordsError):
    """A route that does not take this method. `allow` lists those it takes."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, *, allow: list[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allow = allow

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"allow": self.allow}


class WrongHost(CodewordsError):
    """A request whose `Host` is not a name of this runtime: how DNS rebinding looks."""

    code = "wrong_host"
    status = 421


class Conflict(CodewordsError):
    """The state does not allow this: an id taken, a run that has ended."""

    code = "conflict"
    status = 409


class ValidationFailed(CodewordsError):
    """A deploy whose checks did not pass. `report` is the `ValidationReport` as a dict."""

    code = "validation_failed"
    status = 422

    def __init__(self, message: str, *, report: dict[str, Any], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.report = report

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"report": self.report}


class TooBusy(CodewordsError):
    """The concurrency limit is reached and the queue behind it is full."""

    code = "too_busy"
    status = 429

    def __init__(self, message: str, *, retry_after: int, limit: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.limit = limit

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"retry_after": self.retry_after} | ({"limit": self.limit} if self.limit else {})


class RunTimedOut(CodewordsError):
    """A run passed its time limit and its sandbox was destroyed."""

    code = "run_timed_out"
    status = 504


class RunPending(CodewordsError):
    """A result that was asked for before the run has ended. 504, since the public clients retry only that."""

    code = "run_pending"
    status = 504


class RunCancelled(CodewordsError):
    """A run was cancelled before it answered. 499 is nginx's "client closed request"."""

    code = "run_cancelled"
    status = 499


class RunInterrupted(CodewordsError):
    """The runtime stopped, in order or not, while the run was in flight."""

    code = "interrupted"
    status = 503


ProgramFailure = Literal[
    "program_exited",
    "program_no_port",
    "program_wrong_port",
    "program_out_of_memory",
    "program_disk_full",
    "program_bad_reply",
]


class ProgramFailed(CodewordsError):
    """The workflow's own program did not answer: it exited, never listened, or hit a limit.

    `kind` tells which; it is the wire's `code`.
    """

    status = 502
    origin = "service"

    def __init__(
        self, kind: ProgramFailure, message: str, *, hint: str = "", exit_code: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = kind  # pyright: ignore[reportAttributeAccessIssue]  # one class, several stable codes
        self.exit_code = exit_code

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        if self.exit_code is None:
            return {}
        return {"exit_code": self.exit_code}


class ServiceNotAvailable(CodewordsError):
    """A library service that this runtime does not have, or that is not configured."""

    code = "service_not_available"
    status = 501


class MissingCredential(ServiceNotAvailable):
    """A library service that needs a credential which nobody gave. `credential` is the name of the secret."""

    code = "missing_credential"
    status = 424

    def __init__(self, message: str, *, credential: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.credential = credential

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"credential": self.credential}


class NotConnected(ServiceNotAvailable):
    """A library service that works in somebody's browser or account, of which none is connected."""

    code = "not_connected"
    status = 424


class UpstreamFailed(CodewordsError):
    """What a library service asked answered with an error, not at all, or with more than is taken.

    `upstream_status` is its HTTP status, None where there was none; `upstream_said` its own words, which are data.
    """

    code = "upstream_failed"
    status = 502

    def __init__(
        self, message: str, *, hint: str = "", upstream_status: int | None = None, upstream_said: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.upstream_status = upstream_status
        self.upstream_said = upstream_said

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        if self.upstream_said:
            said = {"upstream_said": self.upstream_said}
        else:
            said = {}
        return {"upstream_status": self.upstream_status} | said


class UpstreamTimedOut(UpstreamFailed):
    """What a library service asked did not answer in time."""

    code = "upstream_timed_out"
    status = 504


class BudgetExceeded(CodewordsError):
    """A model call that may cost more than a budget has left. Amounts are USD.

    `fits_output_tokens` is how many tokens the answer may have for the call to fit, 0 where it fits in no way.
    """

    code = "budget_exceeded"
    status = 402

    def __init__(
        self,
        message: str,
        *,
        scope: str,
        period: str,
        limit: float,
        spent: float,
        reserved: float,
        needed: float,
        fits_output_tokens: int,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.facts: dict[str, Any] = {
            "scope": scope,
            "period": period,
            "limit": limit,
            "spent": spent,
            "reserved": reserved,
            "needed": needed,
            "fits_output_tokens": fits_output_tokens,
        }

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return self.facts


class ModelAnswerInvalid(CodewordsError):
    """A model's answer to the simple form that is cut off, refused, or not of the shape that was asked for."""

    code = "model_answer_invalid"
    status = 502


class ProviderRefused(CodewordsError):
    """A model provider's own error to a call of the simple form. `provider_status` is the provider's HTTP status."""

    code = "provider_refused"
    status = 502

    def __init__(self, message: str, *, provider_status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.provider_status = provider_status

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        return {"provider_status": self.provider_status}


class ProviderUnavailable(CodewordsError):
    """A model provider that cannot be reached, or whose answer broke off. `reached`: it may have begun to work.

    `retry_after`: whole seconds for which it is not asked, where that was found out before.
    """

    reached = True
    retry_after: int | None = None

    code = "provider_unavailable"
    status = 502


class ProviderTimedOut(CodewordsError):
    """A model provider that did not answer in time."""

    code = "provider_timed_out"
    status = 504


class EnvironmentFailed(CodewordsError):
    """The dependencies of a script cannot be resolved or installed."""

    code = "environment_failed"
    status = 422


class SandboxUnavailable(CodewordsError):
    """This machine offers no isolation that passed the self-test."""

    code = "sandbox_unavailable"
    status = 503


class SandboxFailed(CodewordsError):
    """The sandbox itself broke, not the program in it."""

    code = "sandbox_failed"
    status = 500


class RuntimeUnavailable(CodewordsError):
    """The home's runtime could not be started, did not answer, or did not end in time."""

    code = "runtime_unavailable"
    status = 503


class StorageFailed(CodewordsError):
    """The home cannot be written: disk full, read-only, or locked by another runtime."""

    code = "storage_failed"
    status = 507
