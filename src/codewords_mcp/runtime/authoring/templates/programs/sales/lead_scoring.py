# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "codewords-client==0.4.11",
#   "fastapi==0.115.12",
#   "httpx==0.28.1",
#   "pydantic==2.11.3",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# [tool.codewords]
# example = {leads = [{email = "ada@acme.com", employees = 250, country = "UK", replied = true}, {email = "bob@gmail.com", employees = 2}]}
# ///

"""Score and rank leads by rules that anyone can read, and say for each point where it comes from."""

from typing import Any

from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

FREE_MAIL = {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "proton.me", "gmx.net"}

app = FastAPI(title="Lead scoring", description=__doc__)


class Rule(BaseModel):
    field: str
    above: float | None = Field(None, description="Holds for numbers above this.")
    one_of: list[str] = Field([], description="Holds for these values, whatever their case.")
    points: int = Field(ge=-100, le=100)


RULES = [
    Rule(field="employees", above=50, points=20),
    Rule(field="employees", above=500, points=10),
    Rule(field="replied", one_of=["true", "yes"], points=40),
    Rule(field="role", one_of=["ceo", "cto", "founder", "head", "director"], points=15),
]


class Leads(BaseModel):
    leads: list[dict[str, Any]] = Field(max_length=20_000)
    rules: list[Rule] = Field(RULES, description="Without `above` and `one_of` a rule holds where the field is filled.")
    hot_from: int = 50


class Scored(BaseModel):
    lead: dict[str, Any]
    score: int
    hot: bool
    reasons: list[str]


class Ranking(BaseModel):
    leads: list[Scored] = Field(description="The best first.")
    hot: int


@app.post("/", response_model=Ranking)
def rank(asked: Leads) -> Ranking:
    """Apply every rule to every lead."""
    scored = sorted((score(lead, asked) for lead in asked.leads), key=lambda one: -one.score)
    return Ranking(leads=scored, hot=sum(one.hot for one in scored))


def score(lead: dict[str, Any], asked: Leads) -> Scored:
    """The points of one lead, and why."""
    held = [(rule.points, f"{rule.field} is {lead[rule.field]}") for rule in asked.rules if holds(rule, lead.get(rule.field))]
    domain = str(lead.get("email", "")).rpartition("@")[2].lower()
    if domain:
        held.append((-10, "a private mail address") if domain in FREE_MAIL else (10, "a company's mail address"))
    total = sum(points for points, _ in held)
    return Scored(lead=lead, score=total, hot=total >= asked.hot_from, reasons=[f"{points:+d} {why}" for points, why in held])


def holds(rule: Rule, value: Any) -> bool:
    """Whether a rule holds for a value."""
    if value is None or value == "":
        return False
    if rule.above is not None:
        try:
            return float(value) > rule.above
        except (TypeError, ValueError):
            return False
    return not rule.one_of or str(value).lower() in {one.lower() for one in rule.one_of}


if __name__ == "__main__":
    run_service(app)
