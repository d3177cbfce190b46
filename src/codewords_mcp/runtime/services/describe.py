"""Descriptions of services for readers, made from their `Service`."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from codewords_mcp.runtime.model.service import CredentialInfo, OperationInfo, ServiceInfo
from codewords_mcp.runtime.services.base import Service


def describe(service: Service, present: Collection[str] = (), unavailable: str = "") -> ServiceInfo:
    """Describe a service. `present` are the names of the credentials that are set; `unavailable` is
    the reason of refusals.
    """
    credentials = [
        CredentialInfo(
            name=one.name,
            how=one.how,
            without=one.without,
            essential=one.essential or not one.without,
            present=one.name in present,
        )
        for one in service.credentials
    ]
    return ServiceInfo(
        name=service.name,
        title=service.title,
        summary=service.summary,
        ready=not unavailable and all(one.present or one.without for one in credentials),
        unavailable=unavailable,
        credentials=credentials,
        operations=[
            OperationInfo(
                path=f"/{one.path}",
                aliases=[f"/{alias}" for alias in one.aliases],
                summary=one.summary,
                effect=one.effect,
                reads_sometimes=one.reads_when is not None,
                input=_schema(one.input, "validation"),
                output=_schema(one.output, "serialization"),
                example=one.example,
            )
            for one in service.operations
        ],
    )


@cache
def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """The model's JSON Schema, cached: making one takes about a millisecond, and lists are
    requested often.
    """
    return model.model_json_schema(mode=mode)
