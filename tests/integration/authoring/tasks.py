"""Authoring tasks: what is asked, what a scripted model answers (recorded by us, some wrong on purpose), and each one's own check.

`replies` are the model's answers in order; the last is right. `inputs` pairs an input of the deployed workflow with what
must hold of its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2", "httpx==0.28.1"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# ///
"""
_MAIN = """

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
_NOT_SERVED = """

if __name__ == "__main__":
    print("ready")
"""
Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `wrong` names what the first answers get wrong, "" where the first is right."""

    name: str
    description: str
    replies: tuple[str, ...]
    inputs: tuple[tuple[dict[str, Any], Check], ...]
    wrong: str = ""


def program(model: str, body: str, *, title: str, imports: str = "", header: str = _HEADER) -> str:
    """A whole file: `model` are the fields of its input, `body` the handler's lines and what follows them."""
    fields = "\n".join(f"    {line}" for line in model.strip().splitlines())
    lines = "\n".join(f"    {line}" if line else "" for line in body.strip("\n").splitlines())
    return (
        f"{header}import os\n{imports}\nfrom fastapi import FastAPI, HTTPException\nfrom pydantic import BaseModel, Field\n\n"
        f'app = FastAPI(title="{title}")\n\n\nclass Asked(BaseModel):\n{fields}\n\n\n@app.post("/")\n'
        f"async def answer(asked: Asked) -> dict[str, object]:\n{lines}\n{_MAIN}"
    )


def fenced(code: str, plan: str = "1. read the input\n2. compute\n3. answer") -> str:
    """As a model says it."""
    return f"{plan}\n\n```python\n{code}```\n"


def patched(old: str, new: str) -> str:
    """A repair as a diff."""
    before = "\n".join(f"-{line}" for line in old.splitlines())
    after = "\n".join(f"+{line}" for line in new.splitlines())
    return f"The fault is on one line.\n\n```diff\n--- main.py\n+++ main.py\n@@ -1 +1 @@\n{before}\n{after}\n```\n"


def _plain(
    name: str, wish: str, model: str, body: str, *inputs: tuple[dict[str, Any], Check], imports: str = ""
) -> Task:
    code = program(model, body, title=name.replace("_", " ").capitalize(), imports=imports)
    return Task(name, wish, (fenced(code),), inputs)


def _repaired(task: Task, wrong: str, first: str, *more: str) -> Task:
    """The same task, its first answer being wrong; `more` are the answers after it instead of the right file."""
    name = f"{task.name}, {wrong}"
    wish = f"{task.description} (as {task.name} before)"
    return Task(name, wish, (first, *(more or task.replies)), task.inputs, wrong)


def code_of(task: Task) -> str:
    """The file of its last answer."""
    return task.replies[-1].partition("```python\n")[2].removesuffix("```\n")


def _swap(task: Task, wrong: str, right: str, bad: str) -> Task:
    """`bad` stands for `right` in the first answer; a diff repairs it."""
    code = code_of(task)
    assert code.count(right) == 1, (task.name, right)
    return _repaired(task, wrong, fenced(code.replace(right, bad)), patched(bad, right))


def has(**expected: Any) -> Check:
    """The answer holds these values."""
    return lambda answer: all(answer.get(name) == value for name, value in expected.items())


WORDS = _plain(
    "word_count", "Takes a text, counts its words and characters.", "text: str",
    'return {"words": len(asked.text.split()), "characters": len(asked.text)}',
    ({"text": "one two three"}, has(words=3, characters=13)), ({"text": ""}, has(words=0)),
)  # fmt: skip
SLUG = _plain(
    "slug", "Takes a title, answers a URL slug: lower-case letters, digits and dashes.", "title: str",
    'return {"slug": re.sub(r"[^a-z0-9]+", "-", asked.title.lower()).strip("-")}',
    ({"title": "Hello, World! 2"}, has(slug="hello-world-2")), imports="import re",
)  # fmt: skip
MEDIAN = _plain(
    "median", "Takes numbers, answers mean and median.", "numbers: list[float] = Field(min_length=1)",
    'return {"mean": statistics.fmean(asked.numbers), "median": statistics.median(asked.numbers)}',
    ({"numbers": [1, 2, 6]}, has(mean=3.0, median=2.0)), imports="import statistics",
)  # fmt: skip
INVOICE = _plain(
    "invoice_total", "Takes invoice lines with quantity, price and a tax rate in percent; answers net, tax and gross, rounded to cents.",
    "lines: list[tuple[int, float]]\ntax_percent: float = Field(20, ge=0, le=100)",
    'net = round(sum(count * price for count, price in asked.lines), 2)\ntax = round(net * asked.tax_percent / 100, 2)\n'
    'return {"net": net, "tax": tax, "gross": round(net + tax, 2)}',
    ({"lines": [[2, 10.0], [1, 5.5]], "tax_percent": 20}, has(net=25.5, tax=5.1, gross=30.6)),
)  # fmt: skip
DEDUPE = _plain(
    "dedupe", "Takes e-mail addresses, removes doubles whatever their case, keeps the order.", "emails: list[str]",
    'seen = dict.fromkeys(one.strip().lower() for one in asked.emails)\nreturn {"emails": list(seen)}',
    ({"emails": ["A@x.org", "b@x.org", "a@X.org "]}, has(emails=["a@x.org", "b@x.org"])),
)  # fmt: skip
CSV = _plain(
    "csv_to_json", "Takes CSV text with a header line, answers rows as objects.", "csv_text: str",
    'rows = list(csv.DictReader(io.StringIO(asked.csv_text)))\nreturn {"rows": rows, "count": len(rows)}',
    ({"csv_text": "a,b\n1,2\n3,4\n"}, has(count=2, rows=[{"a": "1", "b": "2"}, {"a": "3", "b": "4"}])),
    imports="import csv\nimport io",
)  # fmt: skip
DAYS = _plain(
    "days_between", "Takes two dates, answers the days and working days between them.", "start: date\nend: date",
    'if asked.end < asked.start:\n    raise HTTPException(status_code=422, detail="end is before start")\n'
    'days = (asked.end - asked.start).days\n'
    'working = sum((asked.start + timedelta(days=n)).weekday() < 5 for n in range(days))\nreturn {"days": days, "working": working}',
    ({"start": "2026-01-05", "end": "2026-01-12"}, has(days=7, working=5)), imports="from datetime import date, timedelta",
)  # fmt: skip
TRIAGE = _plain(
    "ticket_triage", "Takes a support ticket, sorts it by words into billing, bug or other, and by urgency.", 'subject: str\nbody: str = ""',
    'text = f"{asked.subject} {asked.body}".lower()\n'
    'topic = "billing" if "refund" in text or "invoice" in text else "bug" if "error" in text or "crash" in text else "other"\n'
    'return {"topic": topic, "urgent": any(word in text for word in ("urgent", "asap", "down"))}',
    ({"subject": "URGENT: refund"}, has(topic="billing", urgent=True)), ({"subject": "app crash"}, has(topic="bug", urgent=False)),
)  # fmt: skip
RSS = _plain(
    "rss_titles", "Takes the text of an RSS feed, answers titles and links of its items.", "xml: str",
    "try:\n    root = ElementTree.fromstring(asked.xml)\nexcept ElementTree.ParseError as error:\n"
    '    raise HTTPException(status_code=422, detail="not XML") from error\n'
    'items = [{"title": one.findtext("title"), "link": one.findtext("link")} for one in root.iter("item")]\nreturn {"items": items}',
    ({"xml": "<rss><channel><item><title>A</title><link>https://a</link></item></channel></rss>"},
     has(items=[{"title": "A", "link": "https://a"}])),
    imports="from xml.etree import ElementTree",
)  # fmt: skip
PARALLEL = _plain(
    "measure_all", "Takes texts, measures them concurrently in threads, answers each one's length.", "texts: list[str]",
    'found = await asyncio.gather(*(asyncio.to_thread(len, text) for text in asked.texts))\nreturn {"lengths": list(found)}',
    ({"texts": ["a", "bbb"]}, has(lengths=[1, 3])), imports="import asyncio",
)  # fmt: skip
SITE = _plain(
    "site_check", "Takes a URL, tells whether it answers and how long it took.", "url: str",
    'began = time.monotonic()\ntry:\n    async with httpx.AsyncClient(timeout=2) as http:\n'
    '        reply = await http.get(asked.url)\nexcept httpx.HTTPError:\n    return {"up": False, "seconds": time.monotonic() - began}\n'
    'return {"up": reply.status_code < 500, "seconds": time.monotonic() - began}',
    ({"url": "http://127.0.0.1:9/"}, has(up=False)), imports="import time\n\nimport httpx",
)  # fmt: skip
MENU = _plain(
    "pick", "Takes a weekday by name, answers whether it is part of the weekend.",
    'day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]',
    'return {"weekend": asked.day in {"sat", "sun"}}', ({"day": "sun"}, has(weekend=True)), imports="from typing import Literal",
)  # fmt: skip
CHANGE = _plain(
    "text_diff", "Takes two texts, answers whether they differ and the unified difference.", "before: str\nafter: str",
    'lines = list(difflib.unified_diff(asked.before.splitlines(), asked.after.splitlines(), lineterm=""))\n'
    'return {"changed": bool(lines), "diff": lines}',
    ({"before": "a", "after": "b"}, has(changed=True)), ({"before": "a", "after": "a"}, has(changed=False, diff=[])),
    imports="import difflib",
)  # fmt: skip
REDACT = _plain(
    "redact", "Takes a text, replaces e-mail addresses and phone numbers by marks.", "text: str",
    'text = re.sub(r"[\\w.+-]+@[\\w-]+\\.[\\w.]+", "[email]", asked.text)\n'
    'return {"text": re.sub(r"\\+?\\d[\\d -]{7,}\\d", "[phone]", text)}',
    ({"text": "ada@x.org or +44 20 7946 0000"}, has(text="[email] or [phone]")), imports="import re",
)  # fmt: skip
APPROVAL = _plain(
    "approval", "Takes an amount and a role, answers whether it may be approved: staff to 100, managers to 1000.",
    "amount: float = Field(gt=0)\nrole: str",
    'limits = {"staff": 100, "manager": 1000}\nif asked.role not in limits:\n    raise HTTPException(status_code=404, detail="no such role")\n'
    'return {"approved": asked.amount <= limits[asked.role]}',
    ({"amount": 500, "role": "staff"}, has(approved=False)), ({"amount": 500, "role": "manager"}, has(approved=True)),
)  # fmt: skip
CURRENCY = _plain(
    "convert", "Takes an amount, and rates by currency; converts from one to another.",
    'amount: float\nsource: str\ntarget: str\nrates: dict[str, float] = {"EUR": 1.0, "USD": 1.1}',
    'missing = [one for one in (asked.source, asked.target) if one not in asked.rates]\nif missing:\n'
    '    raise HTTPException(status_code=404, detail="no rate for " + ", ".join(missing))\n'
    'return {"amount": round(asked.amount / asked.rates[asked.source] * asked.rates[asked.target], 2)}',
    ({"amount": 10, "source": "EUR", "target": "USD"}, has(amount=11.0)),
)  # fmt: skip
HASH = _plain(
    "fingerprint", "Takes a text, answers its SHA-256.", "text: str",
    'return {"sha256": hashlib.sha256(asked.text.encode()).hexdigest()}',
    ({"text": ""}, lambda found: found["sha256"].startswith("e3b0c442")), imports="import hashlib",
)  # fmt: skip
RANK = _plain(
    "lead_score", "Takes leads with company size and whether they replied, ranks them.", "leads: list[dict[str, Any]]",
    'scored = [one | {"score": int(one.get("size", 0)) + (100 if one.get("replied") else 0)} for one in asked.leads]\n'
    'return {"leads": sorted(scored, key=lambda one: -one["score"])}',
    ({"leads": [{"name": "a", "size": 50}, {"name": "b", "size": 1, "replied": True}]}, lambda found: found["leads"][0]["name"] == "b"),
    imports="from typing import Any",
)  # fmt: skip
NOTES = _plain(
    "meeting_notes", "Takes meeting notes, answers the action items: lines that begin with TODO or ACTION.", "notes: str",
    'lines = [line.strip() for line in asked.notes.splitlines()]\n'
    'return {"actions": [line.partition(":")[2].strip() for line in lines if line.startswith(("TODO:", "ACTION:"))]}',
    ({"notes": "hello\nTODO: call Ada\n ACTION: pay"}, has(actions=["call Ada", "pay"])),
)  # fmt: skip
TEMPLATE = _plain(
    "mail_merge", "Takes a template with $names and rows, answers the texts; a missing name stays as it is.",
    "template: str\nrows: list[dict[str, str]]",
    'return {"texts": [string.Template(asked.template).safe_substitute(row) for row in asked.rows]}',
    ({"template": "Hi $name of $town", "rows": [{"name": "Ada"}]}, has(texts=["Hi Ada of $town"])), imports="import string",
)  # fmt: skip
BASE = (
    WORDS, SLUG, MEDIAN, INVOICE, DEDUPE, CSV, DAYS, TRIAGE, RSS, PARALLEL, SITE, MENU, CHANGE, REDACT, APPROVAL, CURRENCY, HASH,
    RANK, NOTES, TEMPLATE,
)  # fmt: skip
_PROSE = "Of course! Such a workflow would take the text and then compute what you ask for. Shall I go on?"
_KEY = "sk-" + "proj-" + "abcdEFGH1234ijklMNOP5678"
ERRING = (
    _swap(SLUG, "missing import", "import os\nimport re\n", "import os\n"),
    _swap(MEDIAN, "missing import", "import os\nimport statistics\n", "import os\n"),
    _swap(HASH, "missing import", "import os\nimport hashlib\n", "import os\n"),
    _repaired(WORDS, "no header", fenced(code_of(WORDS).removeprefix(_HEADER))),
    _repaired(CSV, "wrong header", fenced(code_of(CSV).replace("# [tool.env-checker]\n", ""))),
    _repaired(NOTES, "wrong header", fenced(code_of(NOTES).replace("# /// script", "# //// script"))),
    _swap(DEDUPE, "hallucinated package", '"httpx==0.28.1"]', '"httpx==0.28.1", "emailcleanerpro-toolkit==9.1"]'),
    _swap(RSS, "typo of a package", '"httpx==0.28.1"]', '"httpx==0.28.1", "reqeusts==2.32.0"]'),
    _swap(PARALLEL, "version that is none", '"httpx==0.28.1"]', '"httpx==99.0.0"]'),
    _swap(SITE, "blocking call", "reply = await http.get(asked.url)", "time.sleep(0.01); reply = await http.get(asked.url)"),
    _swap(APPROVAL, "hard-coded key", "limits = {", f'key = "{_KEY}"; limits = {{'),
    _swap(TRIAGE, "wrong schema", "async def answer(asked: Asked) -> dict[str, object]:", "async def answer(asked: Asked) -> list[int]:"),
    _swap(CURRENCY, "crash on its example", "if one not in asked.rates]", "if one not in asked.rates.keys]"),
    _swap(INVOICE, "undefined name", "round(net + tax, 2)", "round(net + taxes, 2)"),
    _repaired(MENU, "prose", _PROSE),
    _repaired(CHANGE, "half a file", fenced(code_of(CHANGE)[:420])),
    _repaired(REDACT, "syntax error", fenced(code_of(REDACT).replace("async def answer(", "async deff answer("))),
    _repaired(DAYS, "no app", fenced(_HEADER + 'print("done")\n')),
    _repaired(RANK, "does not listen", fenced(code_of(RANK).replace(_MAIN, _NOT_SERVED))),
    _repaired(TEMPLATE, "a diff that does not fit", fenced(code_of(TEMPLATE).replace("import string\n", "\n")),
              patched("no such line", "import string"), patched("import os\n\nfrom fastapi", "import os\nimport string\n\nfrom fastapi")),
)  # fmt: skip
TASKS = (*BASE, *ERRING)
