"""Keys and passwords written into a script."""

from __future__ import annotations

import pytest
from tests.unit.workflows.helpers import APP, HEADER, script

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.leaks import check_leaks

pytestmark = pytest.mark.requirement("workflows:leaks")
HEX = "3f9a1c7e5b2d8046" * 4
WORD = "Zq8RtW3nPx7LvK2mYc5D" * 3


def found(body: str, header: str = HEADER, known: tuple[str, ...] = ()) -> list[Check]:
    return [
        check
        for check in check_leaks(parse_script(script(APP + body, header)), known)
        if check.status == "failed"
    ]


# Made up in the vendors' shapes; none was ever valid.
KEYS = {
    "cwk": "cwk-" + HEX,
    "one-time": "cwotk-" + HEX,
    "guide": "sk-1234567890" + "abcdef",
    "openai": "sk-proj-" + WORD,
    "anthropic": "sk-ant-api03-" + WORD,
    "stripe": "sk_live_" + WORD[:24],
    "aws": "AKIA" + "Q3EGRN7TBJ5WKZ2M",
    "github": "ghp_" + WORD[:36],
    "github-fine": "github_pat_" + WORD[:40],
    "gitlab": "glpat-" + WORD[:20],
    "slack": "xoxb-" + "2847105936-" + WORD[:24],
    "slack-webhook": "https://hooks.slack.com/services/" + "T0AB12CD3/B0EF45GH6/" + WORD[:24],
    "google": "AIza" + WORD[:35],
    "sendgrid": "SG." + WORD[:22] + "." + WORD[:43],
    "huggingface": "hf_" + WORD[:34],
    "replicate": "r8_" + WORD[:37],
    "firecrawl": "fc-" + HEX[:32],
    "telegram": "8203914756:AA" + WORD[:33],
    "pem": "-----BEGIN RSA PRIVATE KEY-----",
    "database": "postgresql://app:k3hR9xw2@db.internal:5432/app",
    "local-database": "postgresql://app:k3hR9xw2@localhost:5432/app",
    "default-password": "postgresql://postgres:postgres@db.internal:5432/app",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("line", ["anything = '{}'", "f(['{}'])", "# {}", 'x = f"{}"'])
def test_a_vendors_key_is_found_anywhere_and_never_repeated(key: str, line: str) -> None:
    [check] = found(line.format(key) + "\n")
    assert check.line == 14
    assert check.column == line.index("{}") + 1
    assert "Set the secret" in (check.fix or "") or "gives each run its own" in (check.fix or "")
    assert key not in f"{check.message} {check.fix}"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("STRIPE_API_KEY = '7d1k93jfh20slq8x'", "STRIPE_API_KEY"),
        ("password = 'hunter2!'", "MY_PASSWORD"),
        ("client = Client(api_key='7d1k93jfh20slq8x')", "MY_API_KEY"),
        ("self.clientSecret = '7d1k93jfh20slq8x'", "CLIENT_SECRET"),
        ("headers = {'X-Api-Key': '7d1k93jfh20slq8x'}", "X_API_KEY"),
        ("headers = {'Authorization': 'Bearer 7d1k93jfh20slq8x'}", "MY_AUTHORIZATION"),
        ("os.environ['DB_PASSWORD'] = 'Tr0ub4dor&3'", "DB_PASSWORD"),
        ("def connect(user, db_password='Tr0ub4dor&3'): ...", "DB_PASSWORD"),
        ("def connect(*, auth_token='7d1k93jfh20slq8x'): ...", "AUTH_TOKEN"),
        ("CODEWORDS_TOKEN: str = '7d1k93jfh20slq8x'", "MY_CODEWORDS_TOKEN"),
    ],
)
def test_a_literal_under_a_secrets_name_is_found_and_gets_a_name_to_keep_it_in(line: str, name: str) -> None:
    [check] = found(f"import os\nself = Client = print\n{line}\n")
    assert check.line == 16
    assert f'Add "{name}" to env_vars' in (check.fix or "")


@pytest.mark.parametrize(
    "line",
    [
        "api_key = os.environ['STRIPE_API_KEY']",
        "api_key = os.getenv('STRIPE_API_KEY', '')",
        "api_key = 'YOUR_API_KEY_1'",
        "api_key = 'sk-your-key-goes-here-1'",
        "api_key = '<paste the key here 1>'",
        "api_key = 'sk-xxxxxxxxxxxxxxxxxxxxxxxx'",
        "aws = 'AKIAIOSFODNN7EXAMPLE'",
        "password = 'changeme1'",
        "password = ''",
        "secret_name = 'projects/p1/secrets/s2/versions/3'",
        "max_tokens = '128000128000'",
        "token_url = 'https://auth.example.com/oauth2/v1/token'",
        "data = {'password': request.password, 'token': 'token'}",
        "prompt = 'Ask for the password 1234 and the api_key'",
        "url = f'postgresql://{user}:{password}@{host}/db'",
        "digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "sk-learning-models-and-more",
        "csrf_field = 'csrfmiddlewaretoken12'",
        "hashed_password = '$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW'",
        "hashed_password = '$argon2id$v=19$m=65536,t=3,p=4$wagCPXjifgvUFBzq4hqe3w'",
        "users = {'ada': {'hashed_password': 'fakehashedsecret2'}}",
        "engine = 'postgresql+psycopg://postgres:postgres@localhost/db'",
        "engine = 'mysql://root:root@db:3306/app'",
    ],
)
def test_placeholders_and_harmless_text_are_left_alone(line: str) -> None:
    assert (
        found(
            f"# {line}\n"
            if line.startswith("sk-")
            else f"import os\nuser = password = host = request = ''\n{line}\n"
        )
        == []
    )


def test_a_secret_as_a_default_in_the_header_is_found() -> None:
    [check] = found("", HEADER.replace('"PORT=8000"', '"PORT=8000", "DB_PASSWORD=Tr0ub4dor&3"'))
    assert (check.line, "DB_PASSWORD" in (check.fix or "")) == (9, True)


def test_a_secret_that_is_set_already_is_named_so() -> None:
    [check] = found(f"x = '{KEYS['github']}'\n", known=("GITHUB_TOKEN",))
    assert "set already as GITHUB_TOKEN" in (check.fix or "")


def test_one_line_with_several_signs_is_one_finding() -> None:
    assert len(found(f"openai_api_key = '{KEYS['openai']}'\n")) == 1


def test_clean_code_passes_in_one_check() -> None:
    [check] = check_leaks(parse_script(script()), ())
    assert check.status == "passed"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece", ["sk-", "postgres://", "a:", "<", "-----BEGIN A ", "SG.", "https://hooks.slack.com/services/T"]
)
def test_a_script_made_to_be_slow_is_searched_in_bounded_time(piece: str) -> None:
    secret = "sk-ant-api03-" + "Ab1" * 31
    lines = (
        f"password = '{piece * (500_000 // len(piece))}'",
        f"x = 'postgres://{piece * (400_000 // len(piece))}'",
        f"token = '{secret}'",
    )
    assert max(check.line or 0 for check in found("\n".join(lines) + "\n")) == APP.count("\n") + script(
        ""
    ).count("\n") + len(lines), "what follows is searched too"
