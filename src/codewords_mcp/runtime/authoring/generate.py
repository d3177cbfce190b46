"""Generation of a workflow: a model writes it, all checks run, and the model repairs the faults
found, within bounds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.authoring.drafts import Drafts, DraftSource, GenerationHistory, Validate, to_draft
from codewords_mcp.runtime.authoring.model_request import (
    faults_to_repair,
    first_prompt,
    parse_program,
    repair_prompt,
    system_prompt,
)
from codewords_mcp.runtime.model.authoring import AskModel, Generation, GenerationAttempt, ModelCompletion
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.model_errors import ModelAnswerInvalid
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.store.drafts import DraftRow

MAX_SAME_FAULT = 3
"""Number of consecutive attempts with the same fault after which generation stops: another attempt
would not help.
"""
_MAX_PROBLEM = 300
"""Maximum characters of a stored fault."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """The request. `template` is the code of the nearest template, `services` are descriptions of
    suitable services.
    """

    description: str
    constraints: str
    template: str
    services: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Equal for equal requests."""
        return hashlib.sha256(json.dumps([self.description, self.constraints]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Maximum number of attempts, and maximum cost in USD."""

    rounds: int
    budget: float


@dataclass(slots=True)
class Generator:
    """One generation. Each attempt is stored in a draft at once, so that a later request continues
    it after a crash or disconnect.
    """

    drafts: Drafts
    caller: Caller
    request: GenerationRequest
    ask_model: AskModel
    model: str
    validate: Validate
    bounds: Bounds
    progress: Progress
    row: DraftRow | None = None
    history: GenerationHistory = field(default_factory=GenerationHistory)
    faults: list[str] = field(default_factory=list[str])

    async def run(self) -> Generation:
        """Generate until the checks pass or a bound is reached. Raises ModelAnswerInvalid if no
        attempt contained a program, and the errors of `ask_model`.
        """
        self._resume(await self.drafts.find_generated(self.caller, self.request.digest))
        if self.row is not None and self.history.done:
            return self._result("")

        system, why = system_prompt(self.request.services), ""
        while not why and (not self.history.tried or self.history.tried[-1].problem):
            why = self._stop_reason()
            if not why:
                await self._round(system)

        self.history = replace(self.history, done=True)
        if self.row is None:
            costs = [attempt.cost for attempt in self.history.tried if attempt.cost is not None]
            if costs:
                cost = f", which cost {sum(costs):.4f} USD"
            else:
                cost = ""

            raise ModelAnswerInvalid(
                f"The model gave no program in {len(self.history.tried)} answers{cost}.",
                hint="Describe what it takes, does and answers more plainly, or name a stronger model (CODEWORDS_AUTHOR_MODEL).",
            )

        self.row = await self.drafts.record_history(self.row, self.history)
        return self._result(why)

    def _resume(self, row: DraftRow | None) -> None:
        """Continue with the stored draft of an equal request, unless it was changed by hand."""
        # Each attempt makes one revision. More revisions mean that a person went on by hand,
        # and their work must not be overwritten.
        if row is None or row.revision > len(row.facts["tried"]):
            self.history = GenerationHistory(model=self.model)
            return
        self.row = row
        tried = tuple(GenerationAttempt.model_validate(attempt) for attempt in row.facts["tried"])
        self.history = GenerationHistory(row.facts["model"], row.facts["plan"], tried, done=row.facts["done"])
        self.faults = faults_to_repair(Check.model_validate(check) for check in row.facts["checks"])

    async def _round(self, system: str) -> None:
        number, request = len(self.history.tried) + 1, self.request
        if number == 1:
            doing = "Writing it"
        else:
            doing = f"Repairing it: {self.history.tried[-1].problem}"

        await self.progress(
            number - 1, self.bounds.rounds, f"Answer {number} of {self.bounds.rounds} at most: {doing}"
        )
        code = self.row.code if self.row else ""
        if self.faults:
            prompt = repair_prompt(request.description, request.constraints, code, self.faults)
        else:
            prompt = first_prompt(request.description, request.constraints, request.template)

        completion = await self.ask_model(system, prompt)
        parsed = parse_program(completion.text, code, cut=completion.cut)
        await self.progress(number - 0.5, self.bounds.rounds, f"Checking answer {number}")
        if parsed.problem:
            self.faults = [parsed.problem]
            self._record_attempt(completion)
            if self.row is not None:
                self.row = await self.drafts.record_history(self.row, self.history)
            return

        self.history = replace(self.history, plan=self.history.plan or parsed.plan)
        await self._check_and_store(parsed.code, completion)

    async def _check_and_store(self, code: str, completion: ModelCompletion) -> None:
        """Validate the code and store it with the results."""
        if self.row is None:
            origin = DraftSource(
                description=self.request.description[:2000], request_digest=self.request.digest
            )
            # Stored before the faults are known: a crash after a paid answer must not lose it.
            self.row = await self.drafts.add(self.caller, code, origin, self.validate, self.history)
        else:
            self.row = await self.drafts.change(self.row, code, self.validate, self.history)
        self.faults = faults_to_repair(Check.model_validate(check) for check in self.row.facts["checks"])
        self._record_attempt(completion)
        self.row = await self.drafts.record_history(self.row, self.history)

    def _record_attempt(self, completion: ModelCompletion) -> None:
        if self.faults:
            problem = self.faults[0][:_MAX_PROBLEM]
        else:
            problem = ""
        attempt = GenerationAttempt(problem=problem, tokens=completion.tokens, cost=completion.cost)
        self.history = replace(self.history, tried=(*self.history.tried, attempt))

    def _stop_reason(self) -> str:
        """The reason for making no further attempt, "" if another is allowed."""
        tried = self.history.tried
        if len(tried) >= self.bounds.rounds:
            return f"{len(tried)} answers did not pass every check"
        if (
            len(tried) >= MAX_SAME_FAULT
            # A model that repeats itself goes on doing so, and each answer costs money.
            and len({attempt.problem for attempt in tried[-MAX_SAME_FAULT:]}) == 1
        ):
            return f"{MAX_SAME_FAULT} answers in a row had the same fault"
        costs = [attempt.cost for attempt in tried if attempt.cost is not None]
        # The next attempt is assumed to cost as much as the dearest one so far. The price is
        # only known afterwards.
        if costs and sum(costs) + max(costs) > self.bounds.budget:
            return f"another answer may go beyond the budget of {self.bounds.budget:g} USD ({sum(costs):.4f} are spent)"
        return ""

    def _result(self, why: str) -> Generation:
        if self.row is None:
            raise CodewordsError("A generation ended without a draft.")
        open_faults = bool(self.history.tried and self.history.tried[-1].problem)
        status = "unfinished" if open_faults else "ready"
        return Generation(status=status, draft=to_draft(self.row), why=why)
