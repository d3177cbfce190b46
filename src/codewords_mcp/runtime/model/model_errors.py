"""Errors of calls to AI models. See the tree in `codewords_mcp.errors`."""

from __future__ import annotations

from codewords_mcp.errors import CodewordsError, Forbidden
from codewords_mcp.errors.remedies import Remedy


class UnpricedModel(Forbidden):
    """A call of a model without a known price while a budget applies."""

    code = "unpriced_model"


class ModelNotAllowed(Forbidden):
    """A model outside the list of the caller's key or of the workflow's header."""

    code = "model_not_allowed"


class BudgetExceeded(CodewordsError):
    """A model call that may cost more than a budget has left. Amounts are in USD.

    `fits_output_tokens` is the largest output, in tokens, with which the call fits the budget.
    It is 0 if the call can't fit.
    """

    code = "budget_exceeded"
    status = 402
    wire_fields = ("scope", "period", "limit", "spent", "reserved", "needed", "fits_output_tokens")

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
        remedy: Remedy | None = None,
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.scope = scope
        self.period = period
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.needed = needed
        self.fits_output_tokens = fits_output_tokens


class ModelAnswerInvalid(CodewordsError):
    """A model's response that is cut off, refused, or not of the requested shape."""

    code = "model_answer_invalid"
    status = 502


class ProviderRefused(CodewordsError):
    """A model provider's own error. `provider_status` is the provider's HTTP status."""

    code = "provider_refused"
    status = 502
    wire_fields = ("provider_status",)

    def __init__(
        self, message: str, *, provider_status: int, hint: str = "", remedy: Remedy | None = None
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.provider_status = provider_status


class ProviderUnavailable(CodewordsError):
    """A model provider that can't be reached, or whose response was cut off.

    `reached`: the provider may have started to work on the request. `retry_after`: whole seconds
    for which the provider is not called, if an earlier failure set them.
    """

    reached = True
    retry_after: int | None = None

    code = "provider_unavailable"
    status = 502


class ProviderTimedOut(CodewordsError):
    """A model provider that did not respond in time."""

    code = "provider_timed_out"
    status = 504
