"""Calls of the seed's own dialect, and readers of their responses."""

from __future__ import annotations

from typing import Any

from codewords_client._calls import Call, json_call, run_call
from codewords_client._replies import Result, result

# Seconds that a validation or a deploy may take: an environment may have to be built first.
_BUILDING = 900.0


def deploy_call(
    code: str | None,
    name: str | None,
    *,
    template_id: str | None,
    service_id: str | None,
    description: str | None,
    public: bool,
    allow: bool,
) -> Call:
    """Deploy code or a template. Raises ValueError unless exactly one of them is given."""
    if (code is None) == (template_id is None):
        raise ValueError("deploy_workflow() needs code= or template_id=, one of the two.")

    fields = {
        "code": code,
        "template_id": template_id,
        "name": name,
        "service_id": service_id,
        "description": description,
    }
    body: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    # A flag that is false is left out.
    body |= {name: True for name, flag in (("public", public), ("allow", allow)) if flag}

    return json_call("POST", "/deploy", body, timeout=_BUILDING)


def validate_call(code: str) -> Call:
    """Check code without deploying it."""
    return json_call("POST", "/validate", {"code": code}, timeout=_BUILDING)


def pipedream_call(
    operation: str, app: str | None, action: str | None, props: dict[str, Any] | None, extra: dict[str, Any]
) -> Call:
    """Explore or use the integrations, in either dialect's names."""
    body = {"operation": operation, "app": app, "action": action, "props": props} | extra
    return run_call("pipedream", {key: value for key, value in body.items() if value is not None})


def finished(record: dict[str, Any]) -> bool:
    """Whether a run has ended, so that its log will come to an end as well."""
    return bool(record.get("completedAt"))


def output(record: dict[str, Any]) -> Result:
    """A run's record as `{request_id, status, output, response_status, error, …record}`."""
    found = record.get("responseJson")
    head = {
        "request_id": record.get("id"),
        "status": record.get("status"),
        "output": record.get("responseContent") if found is None else found,
        "response_status": record.get("responseStatus"),
        "error": record.get("error"),
    }
    return result(record | head)


def joined(answer: dict[str, Any], page: dict[str, Any]) -> dict[str, Any]:
    """A list with the page that follows it."""
    return page | {"items": [*answer["items"], *page["items"]]}


def secret_answer(body: Any) -> Result:
    """Result of `manage_secrets`. A list has `secrets` (the runtime's entries) and their `names`; never a value."""
    answer: dict[str, Any] = {"secrets": body} if isinstance(body, list) else dict(body or {})
    secrets: Any = answer.get("secrets", answer.get("items"))
    if isinstance(secrets, list):
        answer["secrets"] = secrets
        answer["names"] = [item if isinstance(item, str) else item.get("name") for item in secrets]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return result({"success": True} | answer)
