"""Descriptions of services for readers, made from their `Service`."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from codewords_mcp.runtime.model.service import CredentialInfo, OperationInfo, ServiceInfo
from codewords_mcp.runtime.services.base import Service, Unavailability


def describe(
    service: Service, present: Collection[str] = (), unavailable: Unavailability | None = None
) -> ServiceInfo:
    """Describe a service. `present` are the names of the credentials that are set; `unavailable` is
    why calls are refused.
    """
    credentials = [
        CredentialInfo(
            name=credential.name,
            how=credential.how,
            without=credential.without,
            essential=credential.essential or not credential.without,
            present=credential.name in present,
        )
        for credential in service.credentials
    ]
    lacks = unavailable or Unavailability("")
    return ServiceInfo(
        name=service.name,
        title=service.title,
        summary=service.summary,
        ready=not unavailable and all(credential.present or credential.without for credential in credentials),
        unavailable=lacks.reason,
        fix=lacks.fix,
        remedy=lacks.remedy,
        credentials=credentials,
        operations=[
            OperationInfo(
                path=f"/{operation.path}",
                aliases=[f"/{alias}" for alias in operation.aliases],
                summary=operation.summary,
                effect=operation.effect,
                reads_sometimes=operation.reads_when is not None,
                input=_schema(operation.input, "validation"),
                output=_schema(operation.output, "serialization"),
                example=operation.example,
            )
            for operation in service.operations
        ],
    )


@cache
def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """The model's JSON Schema."""
    # Cached: making one takes about a millisecond, and lists are requested often.
    return model.model_json_schema(mode=mode)
