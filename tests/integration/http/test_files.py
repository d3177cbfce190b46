"""Files by signed links."""

from __future__ import annotations

import httpx
import pytest
from tests.support.http_runtime import Door

from codewords_mcp.http.routes.files import ByteRange, byte_range

pytestmark = [pytest.mark.requirement("http:files")]


@pytest.fixture
def keyless(door: Door):
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


def stored(http: httpx.Client, keyless: httpx.Client, name: str, data: bytes) -> str:
    """The download link of a new file."""
    links = http.post("/file", params={"filename": name}).json()
    answer = keyless.put(links["upload_uri"], content=data, headers=links["upload_headers"])
    assert answer.json() == {"size": len(data)}
    return links["download_uri"]


def test_a_file_goes_up_and_comes_down_without_a_key(http: httpx.Client, keyless: httpx.Client) -> None:
    answer = keyless.get(stored(http, keyless, "q1 résumé.csv", b"a,b\n1,2\n"))
    assert answer.content == b"a,b\n1,2\n"
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''q1%20r%C3%A9sum%C3%A9.csv"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_links_are_absolute_as_the_caller_reached_us(door: Door, http: httpx.Client) -> None:
    links = http.post("/file?filename=a.bin", headers={"Host": f"localhost:{door.port}"}).json()
    assert links["upload_uri"].startswith(f"http://localhost:{door.port}/file/")
    assert links["download_uri"].startswith(f"http://localhost:{door.port}/file/")
    assert links["upload_headers"] == {"Content-Type": "application/octet-stream"}


def test_the_headers_of_older_clients_are_taken(http: httpx.Client, keyless: httpx.Client) -> None:
    links = http.post("/file?filename=a.bin").json()
    headers = {"Content-Type": "application/octet-stream", "x-amz-acl": "public-read"}
    assert keyless.put(links["upload_uri"], content=b"x", headers=headers).status_code == 200


def test_an_upload_link_is_good_once_and_each_link_one_way(http: httpx.Client, keyless: httpx.Client) -> None:
    links = http.post("/file?filename=a.bin").json()
    assert keyless.get(links["download_uri"]).status_code == 404
    assert keyless.put(links["upload_uri"], content=b"1").status_code == 200
    assert keyless.put(links["upload_uri"], content=b"2").status_code == 409
    assert keyless.get(links["upload_uri"]).status_code == 401
    assert keyless.put(links["download_uri"], content=b"3").status_code == 401
    assert keyless.get(links["download_uri"]).content == b"1"


def test_a_changed_link_is_refused_whatever_key_comes_with_it(
    http: httpx.Client, keyless: httpx.Client
) -> None:
    link = stored(http, keyless, "a.bin", b"x")
    for changed in (
        link[:-3]
        + ("AAA" if link[-3:] != "AAA" else "BBB"),  # the last character alone may decode to the same bytes
        link + "x",
        link.rsplit("/", 1)[0] + "/%F0%9F%92%A5",
    ):
        assert http.get(changed).status_code == 401


def test_a_file_over_its_limit_is_refused_declared_or_not(
    door: Door, http: httpx.Client, keyless: httpx.Client
) -> None:
    too_much = door.settings.max_file + 1
    links = http.post("/file?filename=a.bin").json()
    declared = keyless.put(links["upload_uri"], content=b"x" * too_much)
    assert declared.status_code == 413
    assert "CODEWORDS_MAX_FILE" in declared.json()["detail"]
    streamed = keyless.put(links["upload_uri"], content=iter([b"x" * 65536] * (too_much // 65536 + 2)))
    assert streamed.status_code == 413
    assert keyless.get(links["download_uri"]).status_code == 404, "nothing half-written is left"


def test_a_broken_off_upload_leaves_the_link_good(
    door: Door, http: httpx.Client, keyless: httpx.Client
) -> None:
    links = http.post("/file?filename=a.bin").json()
    with door.connect() as wire:
        wire.request(
            "PUT", links["upload_uri"].removeprefix(door.url), "Content-Length: 10", key=None, body=b"12345"
        )
    answer = keyless.put(links["upload_uri"], content=b"whole")
    assert answer.status_code == 200
    assert keyless.get(links["download_uri"]).content == b"whole"


@pytest.mark.parametrize("name", ["", "%20", "a%2Fb", "..", "a%5Cb", "a%00b", "x" * 300, "a%0D%0Ab"])
def test_a_file_needs_a_plain_name(http: httpx.Client, name: str) -> None:
    answer = http.post(f"/file?filename={name}")
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_file_needs_a_name_at_all(http: httpx.Client) -> None:
    assert "`filename` is missing" in http.post("/file").json()["detail"]


def test_head_and_ranges(http: httpx.Client, keyless: httpx.Client) -> None:
    data = bytes(range(256)) * 3000
    link = stored(http, keyless, "a.bin", data)
    head = keyless.head(link)
    assert (head.headers["content-length"], head.content) == (str(len(data)), b"")
    part = keyless.get(link, headers={"Range": "bytes=300000-300009"})
    assert (part.status_code, part.content) == (206, data[300000:300010])
    assert part.headers["content-range"] == f"bytes 300000-300009/{len(data)}"
    beyond = keyless.get(link, headers={"Range": "bytes=9000000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, ByteRange(0, 10, whole=True)),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=2-99", ByteRange(2, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-99", ByteRange(0, 10)),
        ("bytes=10-", None),
        ("bytes=5-4", None),
        ("bytes=-0", None),
        ("bytes=-", ByteRange(0, 10, whole=True)),
        ("bytes=0-1,4-5", ByteRange(0, 10, whole=True)),
        ("lines=0-1", ByteRange(0, 10, whole=True)),
    ],
)
def test_a_range_header_means_what_rfc_9110_says(header: str | None, part: ByteRange | None) -> None:
    assert byte_range(header, 10) == part
