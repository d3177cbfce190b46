"""Hard-coded keys and passwords in a script. They are reported by position, never by their text."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import attrgetter

from codewords_mcp.errors import InvalidInput
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.modules import normalise
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED

# (description, the variable's usual name, pattern). Prefixes are the vendors' own and public. Repetitions before
# another part are bounded, since a script may be a megabyte on one line and regex backtracking is quadratic.
_VENDORS: tuple[tuple[str, str, str], ...] = (
    ("a CodeWords key", "CODEWORDS_API_KEY", r"cw(?:ot)?k-[0-9A-Za-z_-]{16,}"),
    ("an Anthropic key", "ANTHROPIC_API_KEY", r"sk-ant-[0-9A-Za-z_-]{16,}"),
    ("an OpenRouter key", "OPENROUTER_API_KEY", r"sk-or-[0-9A-Za-z_-]{16,}"),
    ("an OpenAI key", "OPENAI_API_KEY", r"sk-(?:proj-|svcacct-|admin-)?[0-9A-Za-z_-]{16,}"),
    ("a Stripe key", "STRIPE_API_KEY", r"[sr]k_(?:live|test)_[0-9A-Za-z]{16,}"),
    ("an AWS access key", "AWS_ACCESS_KEY_ID", r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    ("a GitHub token", "GITHUB_TOKEN", r"(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{36,})"),
    ("a GitLab token", "GITLAB_TOKEN", r"glpat-[0-9A-Za-z_-]{20,}"),
    ("a Slack token", "SLACK_BOT_TOKEN", r"xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-\d-[0-9A-Za-z-]{10,}"),
    ("a Slack webhook", "SLACK_WEBHOOK_URL", r"https://hooks\.slack\.com/services/T[0-9A-Z]{1,20}/B[0-9A-Z]{1,20}/[0-9A-Za-z]{16,}"),
    ("a Discord webhook", "DISCORD_WEBHOOK_URL", r"https://(?:\w{1,20}\.)?discord(?:app)?\.com/api/webhooks/\d{1,24}/[0-9A-Za-z_-]{20,}"),
    ("a Google key", "GOOGLE_API_KEY", r"AIza[0-9A-Za-z_-]{35}"),
    ("a Google token", "GOOGLE_ACCESS_TOKEN", r"ya29\.[0-9A-Za-z_-]{20,}"),
    ("a SendGrid key", "SENDGRID_API_KEY", r"SG\.[0-9A-Za-z_-]{16,40}\.[0-9A-Za-z_-]{16,}"),
    ("a Hugging Face token", "HF_TOKEN", r"hf_[0-9A-Za-z]{30,}"),
    ("a Replicate token", "REPLICATE_API_TOKEN", r"r8_[0-9A-Za-z]{30,}"),
    ("a Groq key", "GROQ_API_KEY", r"gsk_[0-9A-Za-z]{40,}"),
    ("a Firecrawl key", "FIRECRAWL_API_KEY", r"fc-[0-9a-f]{32}"),
    ("an E2B key", "E2B_API_KEY", r"e2b_[0-9a-f]{40}"),
    ("an npm token", "NPM_TOKEN", r"npm_[0-9A-Za-z]{36}"),
    ("a PyPI token", "PYPI_TOKEN", r"pypi-AgE[0-9A-Za-z_-]{50,}"),
    ("a Telegram bot token", "TELEGRAM_BOT_TOKEN", r"\d{8,10}:AA[0-9A-Za-z_-]{33}"),
    ("an Airtable token", "AIRTABLE_API_KEY", r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}"),
    ("a private key", "PRIVATE_KEY", r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"),
    (
        "a database address with its password",
        "DATABASE_URL",
        r"(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|rediss?|amqps?)(?:\+\w{1,20})?://[^\s:/@'\"{}]{0,80}:[^\s@'\"{}]{4,200}@[^\s'\"{}]",
    ),
)  # fmt: skip
_VENDOR = [(what, name, re.compile(rf"(?<![0-9A-Za-z_-])(?:{pattern})")) for what, name, pattern in _VENDORS]
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:api_?key|apikey|secret(?:_?key)?|(?:access|auth|bot|bearer|refresh|session|id|api)_?token|token|passw(?:or)?d|passphrase|pwd"
    r"|credentials?|private_?key|access_?key|auth_?key|client_?secret|signing_?key|encryption_?key|authorization)$",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"passw(?:or)?d|passphrase|pwd", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"your|example|placeholder|^fake|changeme|change_me|replace|dummy|sample|insert|redacted|\btest\b|\bnone\b|\bnull\b|todo|<.*>|\{.*\}|\*{3,}|\.{3}|x{4,}",
    re.IGNORECASE,
)
_HASHED = re.compile(r"\$(?:2[abxy]|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*|[156]|y)\$|(?:scrypt|pbkdf2)[:_]")
"""Beginnings of hashes of passwords, which a program holds so as not to hold the password."""
_OF_THIS_MACHINE = re.compile(
    r"://([^\s:/@]*):([^\s@]*)@(?:localhost|127\.0\.0\.1|\[::1\]|db|postgres|mysql|redis)(?![\w.-])"
)
"""A database of a developer's machine or of a compose file, as it comes: whoever sees this has nothing."""
_DEFAULTS = frozenset({"password", "postgres", "mysql", "root", "admin", "guest", "secret", "redis", "user"})
_PLAIN_WORDS = re.compile(r"[a-z]+(?:[_.-][a-z]+)*")
_NOT_A_VALUE = re.compile(r"[A-Z][A-Z0-9_]*|https?://[^@]*|/[\w/.-]*")
"""Names of variables, addresses without a password, and paths."""
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+", re.IGNORECASE)
_MIN_ENTROPY = 2.8
"""Bits per character. Natural-language words without digits stay below, random keys of 16
characters above.
"""
_GENERIC = frozenset({"KEY", "TOKEN", "SECRET", "PASSWORD", "API_KEY", "AUTHORIZATION"})
_MAX_VALUE = 4096
"""Maximum characters of a secret. Longer text is data."""
_MAX_LEAKS = 20


def vendor_secret(text: str) -> str | None:
    """The kind of secret that a text has the form of, "a GitHub token"; None for any other text."""
    return next((what for what, _, pattern in _VENDOR if pattern.search(text)), None)


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret in a script: its apparent kind, a variable name for it, and its position, counted
    from 1.
    """

    what: str
    name: str
    line: int
    column: int


def find_leaks(script: Script) -> list[Leak]:
    """All hard-coded secrets in order, one per line, at most 20."""
    text = normalise(script.code)
    # A vendor's prefix is the surest sign, so it overrides what a name suggests on that line.
    found = {leak.line: leak for leak in (*_named(script), *_header_defaults(script, text), *_vendor(text))}
    return sorted(found.values(), key=attrgetter("line"))[:_MAX_LEAKS]


def check_leaks(script: Script, known_secrets: Collection[str]) -> list[Check]:
    """A failed check for each leak, or one passed check. `known_secrets` are names with a stored
    value.
    """
    checks = [_check(leak, known_secrets) for leak in find_leaks(script)]
    return checks or [
        Check(id="leaks", status="passed", message="No key or password is written into the code.")
    ]


def _check(leak: Leak, known: Collection[str]) -> Check:
    remedy = None
    if leak.name in PROVIDED:
        store = "The runtime gives each run its own."
    elif leak.name in known:
        store = f"It is set already as {leak.name}."
    else:
        remedy = set_secret(leak.name)
        store = remedy.words

    return Check(
        id="leaks",
        status="failed",
        message=f"What looks like {leak.what} is written into the code; whoever sees the code has it.",
        line=leak.line,
        column=leak.column,
        fix=f'Withdraw it where it was made. {store} Add "{leak.name}" to env_vars, and read '
        f'os.environ["{leak.name}"].',
        remedy=remedy,
    )


def _vendor(text: str) -> Iterator[Leak]:
    """Keys with a vendor's prefix, anywhere in the text, comments and header included."""
    for number, line in enumerate(text.split("\n"), start=1):
        for what, name, pattern in _VENDOR:
            match = pattern.search(line)
            if (
                match
                and not _is_placeholder(match[0][:_MAX_VALUE])
                and not _is_default(line[match.start() :])
            ):
                yield Leak(what, name, number, match.start() + 1)
                # One a line: the prefixes overlap, and the most telling ones come first.
                break


def _header_defaults(script: Script, text: str) -> Iterator[Leak]:
    lines = text.split("\n")
    for variable in script.env:
        if variable.default and _is_secret(variable.name, variable.default):
            entry = f"{variable.name}="
            number = next(
                (i for i, line in enumerate(lines, start=1) if line.startswith("#") and entry in line), 1
            )
            yield Leak(_kind(variable.name), variable.name, number, lines[number - 1].find(entry) + 1)


def _named(script: Script) -> Iterator[Leak]:
    """Literals with a telling name: variables, attributes, keywords, parameters, dictionary keys."""
    tree = script.whole_tree
    for node in ast.walk(tree) if tree else ():
        for name, value in _assignments(node):
            if (
                isinstance(value, ast.Constant)
                and isinstance(value.value, str)
                and _is_secret(name, value.value)
            ):
                yield Leak(_kind(name), _variable(name), value.lineno, value.col_offset + 1)


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((name, value) for target in targets if (name := _target(target)))
        case ast.AnnAssign(target=target, value=value) if name := _target(target):
            yield name, value
        case ast.keyword(arg=str(name), value=value):
            yield name, value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value.replace("-", "_"), value
        case ast.arguments():
            positional = [*node.posonlyargs, *node.args]
            defaults = node.defaults
            yield from (
                (arg.arg, value)
                for arg, value in zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
            )
            yield from (
                (arg.arg, value) for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
            )
        case _:
            pass


def _target(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.replace("-", "_")
        case _:
            return ""


def _is_secret(name: str, value: str) -> bool:
    if len(value) > _MAX_VALUE or not _SECRET_NAME.search(name):
        return False
    value = _SCHEME.sub("", value.strip())
    if (
        _HASHED.match(value)
        or _is_placeholder(value)
        or _NOT_A_VALUE.fullmatch(value)
        or re.search(r"\s", value)
    ):
        return False
    # Passwords are short and often a word with digits, so entropy can't tell them.
    if _PASSWORD.search(name):
        return len(value) >= 6 and not value.isalpha()
    return len(value) >= 12 and any(c.isdigit() for c in value) and _entropy(value) >= _MIN_ENTROPY


def _is_placeholder(value: str) -> bool:
    return bool(_PLACEHOLDER.search(value) or _PLAIN_WORDS.fullmatch(value)) or len(set(value)) < 5


def _is_default(text: str) -> bool:
    """Whether a text begins with the address of a local database and the password that it comes with."""
    local = _OF_THIS_MACHINE.search(text[:300])
    return local is not None and (local[2] == local[1] or local[2] in _DEFAULTS)


def _entropy(value: str) -> float:
    """Shannon entropy in bits per character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _kind(name: str) -> str:
    if _PASSWORD.search(name):
        return "a password"
    return "a secret"


def _variable(name: str) -> str:
    """The secret's name for a name in the code."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = re.sub(r"[^0-9A-Za-z]+", "_", spaced).strip("_").upper()[:60]
    # A secret called TOKEN would be given to every workflow that asks for TOKEN.
    if words in _GENERIC:
        return f"MY_{words}"
    try:
        return check_name(words)
    except InvalidInput:
        return f"MY_{words}"
