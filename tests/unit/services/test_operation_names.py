"""The names of operations that manifests are written with are those of the services."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.model.service_operations import (
    OPERATIONS,
    declared_item,
    find_by_beginning,
    find_operation,
)
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.services.registry import Registry

SERVICES = {service.name: service for service in Registry({}).all()}


@pytest.mark.requirement("manifest:operations")
def test_each_operation_of_several_is_an_item_by_its_name() -> None:
    several = {name: service for name, service in SERVICES.items() if len(service.operations) > 1}
    assert set(OPERATIONS) == set(several)
    for name, service in several.items():
        items = [f"{name}: {operation.name}" for operation in service.operations]
        assert [declared_item(item) for item in items] == items
        assert len(set(items)) == len(items)


def _operation_at(service: Service, path: str) -> str | None:
    try:
        return service.find(path).name
    except NotFound:
        return None


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize("service", [SERVICES[name] for name in OPERATIONS], ids=list(OPERATIONS))
def test_a_path_names_the_operation_that_the_service_calls_there(service: Service) -> None:
    paths = [path for operation in service.operations for path in operation.paths]
    paths += ["v1/crawl/7", "v3/x", "scrape/x", "SEND", "search_codes", "v1", "v1//scrape", "../send"]
    for path in paths:
        for spelled in (path, f"/{path}", f"{path}/", f"//{path}//"):
            found = find_operation(service.name, spelled)
            assert (found.name if found else None) == _operation_at(service, spelled), spelled


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize(
    ("service", "path", "name"),
    [
        ("github", "/search_code?q=a/b&path=readme", "search_code"),
        ("github", "search%5Fcode/", "search_code"),
        ("github", "/readme#user", "readme"),
        ("github", "/get_readme", "readme"),
        ("github", "/search%255Fcode", None),
        ("github", "readme%3Fx", None),
        ("send_email", "?dry=1", "send"),
        ("files", "", "list"),
        ("github", "", None),
        ("no_such_service", "readme", None),
    ],
)
def test_a_query_an_escape_and_an_alias_name_the_same_operation(
    service: str, path: str, name: str | None
) -> None:
    found = find_operation(service, path)
    assert (found.name if found else None) == name


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize(
    ("service", "beginning", "name"),
    [
        ("github", "/readme?owner=", "readme"),
        ("github", "/readme", None),
        ("github", "/search_", None),
        ("github", "", None),
        ("firecrawl", "/v1/crawl/", "v1/*"),
        ("firecrawl", "/v1/", None),
        ("firecrawl", "/v1/s", None),
    ],
)
def test_a_beginning_names_an_operation_only_where_no_other_begins_so(
    service: str, beginning: str, name: str | None
) -> None:
    found = find_by_beginning(service, beginning)
    assert (found.name if found else None) == name
