"""Consents in memory, for `fake_runtime.FakeRuntime`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from codewords_mcp.errors import ConsentNeeded, Forbidden
from codewords_mcp.runtime.api.consents import ConsentApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.workflow import Consent

if TYPE_CHECKING:
    from tests.integration.mcp.fake_runtime import FakeRuntime

BASE_URL = "http://127.0.0.1:8765"


class FakeConsentApi(ConsentApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    @property
    def unattended(self) -> bool:
        return self._fake.nobody_there

    async def request(self, caller: Caller, question: Question, consent: Consent) -> ConsentNeeded | None:
        """As Consents does it, in memory."""
        key = (question.owner, question.digest)
        token = next((one for one, asked in self._fake.questions.items() if asked == key), None)
        answer = self._fake.answers.get(token or "")
        if token is not None and (answer is not None or (self.unattended and consent.confirm == token)):
            del self._fake.questions[token]
            if answer is False:
                raise Forbidden(question.wording.declined)
            return None
        if token is None:
            token = f"question{next(self._fake.ids)}"
            self._fake.questions[token] = key
        wording = question.with_asker(consent.asker).wording
        put = f"{wording.title}\nAsked by {wording.asker}."
        url = f"{BASE_URL}/consents/{token}"
        return ConsentNeeded(wording.message, asks=question.lines, confirm=token, url=url, question=put)

    async def decide(self, caller: Caller, token: str, *, agreed: bool) -> None:
        if self._fake.questions.get(token, ("",))[0] == caller.owner:
            self._fake.answers.setdefault(token, agreed)

    async def wait(self, caller: Caller, token: str, seconds: float) -> Literal["agreed", "declined"] | None:
        answer = self._fake.answers.get(token)
        return None if answer is None else "agreed" if answer else "declined"
