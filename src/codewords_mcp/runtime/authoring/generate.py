"""Generating a workflow: a model writes, every check is run, and what they report is asked to be repaired, within bounds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from codewords_mcp.errors import CodewordsError, ModelAnswerInvalid
from codewords_mcp.runtime.authoring.drafts import Drafts, DraftSource, GenerationHistory, Validate, shown
from codewords_mcp.runtime.authoring.model_request import (
    faults_of,
    first_prompt,
    read_answer,
    repair_prompt,
    system_prompt,
)
from codewords_mcp.runtime.model.authoring import AskModel, Generation, GenerationAttempt, ModelCompletion
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.store.drafts import DraftRow

SAME = 3
"""The same fault after so many answers: another would not help."""
_PROBLEM = 300
"""Characters of a fault as it is kept."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What is wanted. `template` is the code of the nearest one, `services` lines on those that fit."""

    description: str
    constraints: str
    template: str
    services: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Equal for the same wish."""
        return hashlib.sha256(json.dumps([self.description, self.constraints]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many answers there may be, and what they may cost in USD."""

    rounds: int
    budget: float


@dataclass(slots=True)
class Generator:
    """One generation. Each answer is kept in a draft at once, so that what a crash or a hang-up interrupts is gone on with."""

    drafts: Drafts
    caller: Caller
    wish: GenerationRequest
    ask: AskModel
    model: str
    validate: Validate
    bounds: Bounds
    progress: Progress
    row: DraftRow | None = None
    story: GenerationHistory = field(default_factory=GenerationHistory)
    faults: list[str] = field(default_factory=list[str])

    async def run(self) -> Generation:
        """The draft, as far as it came. Raises ModelAnswerInvalid where no answer held a program, and what `ask` raises."""
        self._go_on(await self.drafts.asked_for(self.caller, self.wish.digest))
        if self.row is not None and self.story.done:
            return self._result("")

        system, why = system_prompt(self.wish.services), ""
        while not why and (not self.story.tried or self.story.tried[-1].problem):
            why = self._stops()
            if not why:
                await self._round(system)

        self.story = replace(self.story, done=True)
        if self.row is None:
            costs = [one.cost for one in self.story.tried if one.cost is not None]
            if costs:
                spent = f", which cost {sum(costs):.4f} USD"
            else:
                spent = ""

            raise ModelAnswerInvalid(
                f"The model gave no program in {len(self.story.tried)} answers{spent}.",
                hint="Describe what it takes, does and answers more plainly, or name a stronger model (CODEWORDS_AUTHOR_MODEL).",
            )

        self.row = await self.drafts.tell(self.row, self.story)
        return self._result(why)

    def _go_on(self, row: DraftRow | None) -> None:
        """With a draft of the same wish that nobody has changed by hand."""
        if row is None or row.revision > len(row.facts["tried"]):
            self.story = GenerationHistory(model=self.model)
            return
        self.row = row
        tried = tuple(GenerationAttempt.model_validate(one) for one in row.facts["tried"])
        self.story = GenerationHistory(row.facts["model"], row.facts["plan"], tried, done=row.facts["done"])
        self.faults = faults_of(Check.model_validate(check) for check in row.facts["checks"])

    async def _round(self, system: str) -> None:
        number, wish = len(self.story.tried) + 1, self.wish
        if number == 1:
            doing = "Writing it"
        else:
            doing = f"Repairing it: {self.story.tried[-1].problem}"

        await self.progress(
            number - 1, self.bounds.rounds, f"Answer {number} of {self.bounds.rounds} at most: {doing}"
        )
        code = self.row.code if self.row else ""
        if self.faults:
            prompt = repair_prompt(wish.description, wish.constraints, code, self.faults)
        else:
            prompt = first_prompt(wish.description, wish.constraints, wish.template)

        written = await self.ask(system, prompt)
        draught = read_answer(written.text, code, cut=written.cut)
        await self.progress(number - 0.5, self.bounds.rounds, f"Checking answer {number}")
        if draught.problem:
            self.faults = [draught.problem]
            self._tried(written)
            if self.row is not None:
                self.row = await self.drafts.tell(self.row, self.story)
            return

        self.story = replace(self.story, plan=self.story.plan or draught.plan)
        await self._keep(draught.code, written)

    async def _keep(self, code: str, written: ModelCompletion) -> None:
        """Check the code, and keep it with what the checks found."""
        if self.row is None:
            origin = DraftSource(description=self.wish.description[:2000], asked=self.wish.digest)
            self.row = await self.drafts.add(self.caller, code, origin, self.validate, self.story)
        else:
            self.row = await self.drafts.change(self.row, code, self.validate, self.story)
        self.faults = faults_of(Check.model_validate(check) for check in self.row.facts["checks"])
        self._tried(written)
        self.row = await self.drafts.tell(self.row, self.story)

    def _tried(self, written: ModelCompletion) -> None:
        if self.faults:
            problem = self.faults[0][:_PROBLEM]
        else:
            problem = ""
        one = GenerationAttempt(problem=problem, tokens=written.tokens, cost=written.cost)
        self.story = replace(self.story, tried=(*self.story.tried, one))

    def _stops(self) -> str:
        """Why there is no further answer; "" where there may be one."""
        tried = self.story.tried
        if len(tried) >= self.bounds.rounds:
            return f"{len(tried)} answers did not pass every check"
        if len(tried) >= SAME and len({one.problem for one in tried[-SAME:]}) == 1:
            return f"{SAME} answers in a row had the same fault"
        costs = [one.cost for one in tried if one.cost is not None]
        if costs and sum(costs) + max(costs) > self.bounds.budget:
            return f"another answer may go beyond the budget of {self.bounds.budget:g} USD ({sum(costs):.4f} are spent)"
        return ""

    def _result(self, why: str) -> Generation:
        if self.row is None:
            raise CodewordsError("A generation ended without a draft.")
        open_faults = bool(self.story.tried and self.story.tried[-1].problem)
        status = "unfinished" if open_faults else "ready"
        return Generation(status=status, draft=shown(self.row), why=why)
