"""Errors that reach a person, a model or a client, and their codes and statuses on the wire.

    CodewordsError                      code                 status  origin
    ├── InvalidInput                    invalid_input        400     platform
    │   ├── InvalidScript               invalid_script       422     (line, column)
    │   └── BodyTooLarge                body_too_large       413
    ├── Unauthenticated                 unauthenticated      401
    ├── Forbidden                       forbidden            403
    │   ├── UnpricedModel               unpriced_model       403     the call's cost can't be determined
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
    ├── WriteHeld                       write_held           409     a write that nobody agreed to
    ├── WriteUnknown                    write_unknown        409     a write that may have been carried out
    ├── JournalDamaged                  journal_damaged      500     what the attempts of a run have sent is lost
    ├── RunInterrupted                  interrupted          503     the runtime stopped while the run was in flight
    ├── ProgramFailed                   program_*            502     service: the workflow's own failure
    ├── ServiceNotAvailable             service_not_available 501    a library service that is not here
    │   ├── MissingCredential           missing_credential   424     (credential)
    │   └── NotConnected                not_connected        424
    ├── UpstreamFailed                  upstream_failed      502     (upstream_status, upstream_said) a service's upstream
    │   ├── IntegrationFailed           integration_failed   502     an action of an app reported a failure
    │   └── UpstreamTimedOut            upstream_timed_out   504
    ├── BudgetExceeded                  budget_exceeded      402     (limit, spent, fits_output_tokens …)
    ├── ModelAnswerInvalid              model_answer_invalid 502     a response cut off, refused or of another shape
    ├── ProviderRefused                 provider_refused     502     (provider_status) a model provider's own error
    ├── ProviderUnavailable             provider_unavailable 502     a model provider unreachable, or cut off mid-response
    ├── ProviderTimedOut                provider_timed_out   504
    ├── EnvironmentFailed               environment_failed   422     a dependency cannot be installed
    ├── SandboxUnavailable              sandbox_unavailable  503     no isolation on this machine
    ├── SandboxFailed                   sandbox_failed       500     the sandbox failed, not the program in it
    ├── RuntimeUnavailable              runtime_unavailable  503     the home's runtime does not start, respond or stop
    │   └── AttemptOver                 runtime_unavailable  503     a call by a run that does not go on in this process
    └── StorageFailed                   storage_failed       507     disk full, read-only home, locked home

A failing program is a result, a failing sandbox is an error: `ProgramFailed.origin` is "service",
every other error's is "platform". The HTTP API sends it in the header `Error-Origin`.

Messages contain only our own words and validated names, never text from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from codewords_mcp.errors.remedies import Remedy, RemedyAction, reword, with_words

Origin = Literal["platform", "service"]


class CodewordsError(Exception):
    """A failure with a stable `code`, a sentence that a person can act on, and an HTTP status.

    `message` says what was wrong and where. `hint` says what to do; it may be empty. It ends with the
    words of the `remedy`, which a front door replaces by its own (`word_remedy`).
    `run_id` is the run that the error ended, if one was recorded.
    """

    code: str = "internal_error"
    status: int = 500
    origin: Origin = "platform"
    wire_fields: ClassVar[tuple[str, ...]] = ()
    """Attributes that the wire carries beside code, message, origin and hint."""
    optional_wire_fields: ClassVar[tuple[str, ...]] = ()
    """Attributes that the wire carries unless they are None or ""."""

    def __init__(self, message: str, *, hint: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.remedy = remedy
        self.run_id: str | None = None
        if remedy is not None and remedy.words not in hint:
            self.hint = f"{hint} {remedy.words}".lstrip()

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def word_remedy(self, words: Mapping[RemedyAction, str]) -> None:
        """Replace the words of the remedy in the hint, if there is one, by those of a front door."""
        if self.remedy is not None:
            self.hint, _ = reword(self.hint, self.remedy.to_dict(), words)
            self.remedy = with_words(self.remedy, words)

    def details(self) -> dict[str, Any]:
        """Return the fields that the wire carries beside code, message, origin and hint."""
        fields = {name: getattr(self, name) for name in self.wire_fields}
        optional = {name: getattr(self, name) for name in self.optional_wire_fields}
        return fields | {name: value for name, value in optional.items() if value not in {None, ""}}

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form: `{code, message, hint?, remedy?, origin, …details}`."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "origin": self.origin}
        if self.hint:
            body["hint"] = self.hint
        if self.remedy is not None:
            body["remedy"] = self.remedy.to_dict()
        return body | self.details()


class InvalidInput(CodewordsError):
    """An argument, body or name that cannot be accepted as it is."""

    code = "invalid_input"
    status = 400


class InvalidScript(InvalidInput):
    """Code that cannot be read as a workflow. `line` and `column` count from 1."""

    code = "invalid_script"
    status = 422
    wire_fields = ("line", "column")

    def __init__(
        self, message: str, *, hint: str = "", line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class BodyTooLarge(InvalidInput):
    """A request body over the configured limit."""

    code = "body_too_large"
    status = 413


class Unauthenticated(CodewordsError):
    """No key, an unknown key, an expired one, or a one-time key that was used."""

    code = "unauthenticated"
    status = 401


class InvalidToken(Unauthenticated):
    """An access token that is expired, forged, or issued for another resource."""


class Forbidden(CodewordsError):
    """A valid key that may not do this."""

    code = "forbidden"
    status = 403


class InsufficientScope(Forbidden):
    """A key or token without the required scope.

    `by_token`: the request carried an access token, whose bearer can sign in again for more scopes.
    """

    code = "insufficient_scope"
    wire_fields = ("scope",)

    def __init__(self, scope: str, *, by_token: bool) -> None:
        if by_token:
            hint, remedy = "Sign in again and grant it.", None
        else:
            hint, remedy = "", Remedy(RemedyAction.CREATE_SCOPED_KEY, {"scope": scope})

        super().__init__(
            f"This needs the scope {scope}, which the key does not have.", hint=hint, remedy=remedy
        )
        self.scope = scope
        self.by_token = by_token


class AddressRefused(Forbidden):
    """An address that a library service may not reach for its caller.

    It is private, or missing from the workflow's own list.
    """

    code = "address_refused"


class NotAgreed(Forbidden):
    """A call of a service, model or workflow outside the calling workflow's manifest."""

    code = "not_agreed"


class ConsentNeeded(Forbidden):
    """An operation that waits for a person's consent; nothing was changed.

    `question` and `asks` (one permission a line) are for that person. `confirm` is the token of
    this question; `url` is the page on which it is answered. `changes`: what a deploy would change, its `DeployChanges`.
    """

    code = "consent_needed"
    wire_fields = ("asks", "confirm", "url")

    def __init__(
        self, message: str, *, asks: list[str], confirm: str, url: str, hint: str = "", question: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.question = question or message
        self.asks = asks
        self.confirm = confirm
        self.url = url
        self.changes: object = None


class NotFound(CodewordsError):
    """An id that does not exist for this caller. Another caller's ids look the same."""

    code = "not_found"
    status = 404


class MethodNotAllowed(CodewordsError):
    """A route that does not take this method. `allow` lists the methods that it takes."""

    code = "method_not_allowed"
    status = 405
    wire_fields = ("allow",)

    def __init__(self, message: str, *, allow: list[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allow = allow


class WrongHost(CodewordsError):
    """A request whose `Host` is not a name of this runtime, as in DNS rebinding."""

    code = "wrong_host"
    status = 421


class Conflict(CodewordsError):
    """The current state does not allow this: an id is taken, a run has finished."""

    code = "conflict"
    status = 409


class ValidationFailed(CodewordsError):
    """A deploy with failed checks. `report` is the `ValidationReport` as a dict."""

    code = "validation_failed"
    status = 422
    wire_fields = ("report",)

    def __init__(self, message: str, *, report: dict[str, Any], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.report = report


class TooBusy(CodewordsError):
    """A limit of runs is reached and its queue is full, or the machine has no room. `retry_after` is in seconds."""

    code = "too_busy"
    status = 429
    wire_fields = ("retry_after",)
    optional_wire_fields = ("limit",)

    def __init__(
        self,
        message: str,
        *,
        retry_after: int,
        limit: str = "",
        hint: str = "",
        remedy: Remedy | None = None,
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.retry_after = retry_after
        self.limit = limit


class StorageQuotaExceeded(CodewordsError):
    """The owner's quota of stored bytes leaves no room for a file, workflow, draft or row."""

    code = "storage_quota_exceeded"
    status = 413


class QuotaExceeded(TooBusy):
    """A quota of the owner is used up. `retry_after` is when there is room again."""

    code = "quota_exceeded"


class RunTimedOut(CodewordsError):
    """A run exceeded its time limit; its sandbox was destroyed."""

    code = "run_timed_out"
    status = 504


class RunPending(CodewordsError):
    """A result requested before the run has finished."""

    code = "run_pending"
    status = 504  # the public clients retry only this status


class RunCancelled(CodewordsError):
    """A run was cancelled before it responded."""

    code = "run_cancelled"
    status = 499  # nginx's "client closed request"


class WriteHeld(CodewordsError):
    """A run that applies a dry run came to a write that nobody agreed to, or whose first answer is unknown, and was ended
    before it.
    """

    code = "write_held"
    status = 409


class WriteUnknown(CodewordsError):
    """A resumed run came to a write that an earlier attempt may have carried out, and was ended before it."""

    code = "write_unknown"
    status = 409


class JournalDamaged(CodewordsError):
    """The journal of a run that may be resumed cannot be read, so that nothing is sent for it any more."""

    code = "journal_damaged"
    status = 500


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
    """The workflow's own program did not respond: it exited, never listened, or hit a limit.

    `kind` is the code on the wire.
    """

    status = 502
    origin = "service"
    optional_wire_fields = ("exit_code",)

    def __init__(
        self, kind: ProgramFailure, message: str, *, hint: str = "", exit_code: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = kind
        self.exit_code = exit_code


class ServiceNotAvailable(CodewordsError):
    """A library service that this runtime lacks, or that is not configured."""

    code = "service_not_available"
    status = 501


class MissingCredential(ServiceNotAvailable):
    """A library service without its credential. `credential` is the name of the missing secret."""

    code = "missing_credential"
    status = 424
    wire_fields = ("credential",)

    def __init__(
        self, message: str, *, credential: str, hint: str = "", remedy: Remedy | None = None
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.credential = credential


class NotConnected(ServiceNotAvailable):
    """A library service whose browser or account is not connected."""

    code = "not_connected"
    status = 424


class UpstreamFailed(CodewordsError):
    """The upstream of a library service failed: an error, no response, or one that is too large.

    `upstream_status` is its HTTP status, None without a response. `upstream_said` is its own text:
    data from outside.
    """

    code = "upstream_failed"
    status = 502
    wire_fields = ("upstream_status",)
    optional_wire_fields = ("upstream_said",)

    def __init__(
        self, message: str, *, hint: str = "", upstream_status: int | None = None, upstream_said: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.upstream_status = upstream_status
        self.upstream_said = upstream_said


class UpstreamTimedOut(UpstreamFailed):
    """The upstream of a library service did not respond in time."""

    code = "upstream_timed_out"
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
    """The sandbox itself failed, not the program in it."""

    code = "sandbox_failed"
    status = 500


class RuntimeUnavailable(CodewordsError):
    """The home's runtime could not be started, did not respond, or did not stop in time."""

    code = "runtime_unavailable"
    status = 503


class AttemptOver(RuntimeUnavailable):
    """A call by a run that does not go on in this process: it was not carried out.

    The run has ended, gave its sandbox back, or goes on in another process, whose attempt makes the call again.
    """

    def __init__(self) -> None:
        super().__init__(
            "This call was not carried out, since the attempt at the run that made it is over.",
            hint="Use a person's key, outside the workflow.",
        )


class StorageFailed(CodewordsError):
    """The home cannot be written: disk full, read-only, or locked by another runtime."""

    code = "storage_failed"
    status = 507
