"""Stores of secrets outside of this home: a reader for each scheme of a reference. All of them block.

Each reads its address and its own credentials from the variables that its vendor's tools use. A reader raises
`StoreFailed`; no message has a value, or a text of the store's.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast
from urllib.parse import quote

from pydantic import BaseModel, Field, TypeAdapter

from codewords_mcp.errors import InvalidInput
from codewords_mcp.errors.remedies import add_package
from codewords_mcp.runtime.secrets.names import MAX_VALUE
from codewords_mcp.runtime.secrets.references import SecretReference

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS: Final = 5.0
"""For a store to answer one request."""
_ONEPASSWORD_ID: Final = re.compile(r"[a-z0-9]{26}", re.ASCII)
_GCP_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_REFUSED: Final = (401, 403)

Environ = Mapping[str, str]


class StoreFailed(Exception):
    """A value cannot be had. `away`: the store did not answer, so that the value may be there still."""

    def __init__(self, why: str, *, away: bool = False) -> None:
        super().__init__(why)
        self.away = away


def read(reference: SecretReference, environ: Environ = os.environ) -> str:
    """The value at a reference. Raises StoreFailed, InvalidInput without the package that its store takes."""
    found = _READERS[reference.scheme](reference.path, environ)
    # The fields of these are part of how they are asked.
    if isinstance(found, Mapping):
        return _field(found, reference.field)
    if reference.field:
        try:
            return _field(json.loads(found), reference.field)
        except ValueError:
            raise StoreFailed("its value is no JSON object, and so has no fields") from None

    return found


def _field(fields: object, name: str) -> str:
    if not isinstance(fields, Mapping):
        raise StoreFailed("its value is no JSON object, and so has no fields")
    value = cast("Mapping[str, object]", fields).get(name)
    if value is None:
        raise StoreFailed(f"it has no field {name!r}")
    # A number or an object would be another text for each that writes it.
    if not isinstance(value, str):
        raise StoreFailed(f"its field {name!r} is no text")
    return value


def _read_variable(path: str, environ: Environ) -> str:
    value = environ.get(path)
    if value is None:
        raise StoreFailed("the runtime was started without that variable")
    return value


def _read_file(path: str, _environ: Environ) -> str:
    try:
        with Path(path).open("rb") as file:
            # One byte more than is taken: of a device or a huge file the rest is not read.
            data = file.read(MAX_VALUE + 1)
    except FileNotFoundError:
        raise StoreFailed("there is no such file") from None
    except OSError as error:
        raise StoreFailed(f"the file cannot be read ({error.strerror})") from None

    try:
        return data.decode()
    except UnicodeDecodeError:
        raise StoreFailed("the file is no text") from None


def _read_vault(path: str, environ: Environ) -> Mapping[str, object]:
    hvac = _package("hvac", "vault")
    requests = _package("requests", "vault")
    address = environ.get("VAULT_ADDR")
    if not address:
        raise StoreFailed("VAULT_ADDR is not set where the runtime was started")

    mount, _, name = path.partition("/")
    client = hvac.Client(
        url=address,
        token=_vault_token(environ),
        namespace=environ.get("VAULT_NAMESPACE"),
        timeout=TIMEOUT_SECONDS,
    )
    try:
        answer = client.secrets.kv.v2.read_secret_version(
            name, mount_point=mount, raise_on_deleted_version=True
        )
        fields = answer["data"]["data"]
    except hvac.exceptions.InvalidPath:
        raise StoreFailed("there is no such secret") from None
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
        _refuse()
    except (hvac.exceptions.VaultError, requests.RequestException):
        # Sealed, limited or failing: as a whole these pass.
        _be_away()
    except (KeyError, TypeError, ValueError):
        _misread()
    finally:
        client.adapter.close()

    if not isinstance(fields, Mapping):
        _misread()
    return cast("Mapping[str, object]", fields)


def _vault_token(environ: Environ) -> str | None:
    # Vault's agent writes the token into a file, and renews it there.
    sink = environ.get("VAULT_TOKEN_FILE")
    if sink:
        return _read_file(sink, environ).strip()
    return environ.get("VAULT_TOKEN")


def _read_aws(path: str, _environ: Environ) -> str:
    boto3 = _package("boto3", "aws")
    botocore_exceptions = _package("botocore.exceptions", "aws")
    limits = _package("botocore.config", "aws").Config(
        connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
    )
    try:
        # A client of its own: boto3's default session is not made for several threads.
        with contextlib.closing(boto3.session.Session().client("secretsmanager", config=limits)) as client:
            answer = client.get_secret_value(SecretId=path)
    except botocore_exceptions.ClientError as error:
        _fail_of_aws(error.response)
    except (botocore_exceptions.NoCredentialsError, botocore_exceptions.NoRegionError):
        raise StoreFailed("the runtime has no credentials or no region for AWS") from None
    except botocore_exceptions.BotoCoreError:
        _be_away()

    value = answer.get("SecretString")
    if not isinstance(value, str):
        raise StoreFailed("its value is no text")
    return value


def _fail_of_aws(response: dict[str, Any]) -> NoReturn:
    code = str(response.get("Error", {}).get("Code"))
    # The second is a secret that is marked for deletion.
    if code in ("ResourceNotFoundException", "InvalidRequestException"):
        raise StoreFailed("there is no such secret") from None
    if code in ("AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"):
        _refuse()
    _be_away()


def _read_gcp(path: str, environ: Environ) -> str:
    import base64

    google_auth = _package("google.auth", "gcp")
    exceptions = _package("google.auth.exceptions", "gcp")
    transport = _package("google.auth.transport.requests", "gcp")
    requests = _package("requests", "gcp")
    project, name, *version = path.split("/")
    base = environ.get("CODEWORDS_GCP_SECRETS_URL", "https://secretmanager.googleapis.com")
    resource = "/".join(
        map(quote, ("projects", project, "secrets", name, "versions", *(version[:1] or ["latest"])))
    )
    try:
        credentials, _ = google_auth.default(scopes=[_GCP_SCOPE])
        with transport.AuthorizedSession(credentials) as session:
            answer = session.get(f"{base}/v1/{resource}:access", timeout=TIMEOUT_SECONDS)
    except exceptions.TransportError:
        _be_away()
    except exceptions.GoogleAuthError:
        raise StoreFailed("the runtime has no credentials for Google Cloud") from None
    except requests.RequestException:
        _be_away()

    _check_status(answer.status_code)
    try:
        # Without `validate` characters that are no base64 would be dropped, and another value be
        # used.
        return base64.b64decode(answer.json()["payload"]["data"], validate=True).decode()
    except (ValueError, KeyError, TypeError):
        _misread()


def _read_onepassword(path: str, environ: Environ) -> str:
    import httpx2

    # Three requests of https://developer.1password.com/docs/connect/api-reference, whose client tells a refusal and a
    # missing item in words only.
    address, token = environ.get("OP_CONNECT_HOST"), environ.get("OP_CONNECT_TOKEN")
    if not address or not token:
        raise StoreFailed("OP_CONNECT_HOST and OP_CONNECT_TOKEN are not set where the runtime was started")

    vault, item, *field = path.split("/")
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx2.Client(base_url=address, headers=headers, timeout=TIMEOUT_SECONDS) as client:
            vaults = f"/v1/vaults/{_identify(client, '/v1/vaults', 'name', vault)}/items"
            answer = _get(client, f"{vaults}/{_identify(client, vaults, 'title', item)}")
        found = _OnePasswordItem.model_validate(answer)
    except httpx2.HTTPError:
        _be_away()
    except ValueError:
        _misread()

    sections = {section.id: section.label for section in found.sections}
    for candidate in found.fields:
        section = sections.get(candidate.section.id) if candidate.section else None
        if field[-1] in (candidate.label, candidate.id) and field[:-1] in ([], [section]):
            return candidate.value
    raise StoreFailed(f"it has no field {field[-1]!r}")


class _Identified(BaseModel):
    id: str


class _OnePasswordSection(_Identified):
    label: str = ""


class _OnePasswordField(_Identified):
    label: str = ""
    value: str = ""
    section: _OnePasswordSection | None = None


class _OnePasswordItem(BaseModel):
    """The parts of Connect's `FullItem` that are read."""

    fields: list[_OnePasswordField] = Field(default_factory=list[_OnePasswordField])
    sections: list[_OnePasswordSection] = Field(default_factory=list[_OnePasswordSection])


_IDENTIFIED: Final = TypeAdapter(list[_Identified])


def _identify(client: httpx2.Client, path: str, name_field: str, name: str) -> str:
    """The id of a vault or item, given by id or by name."""
    if _ONEPASSWORD_ID.fullmatch(name):
        return name
    found = _IDENTIFIED.validate_python(_get(client, path, {"filter": f'{name_field} eq "{name}"'}))
    if len(found) != 1:
        raise StoreFailed(f"there is no one {name!r} that this runtime may read")
    return quote(found[0].id, safe="")


def _get(client: httpx2.Client, path: str, query: dict[str, str] | None = None) -> object:
    answer = client.get(path, params=query)
    _check_status(answer.status_code)
    return answer.json()


def _check_status(status: int) -> None:
    if status in _REFUSED:
        _refuse()
    if status == 404:
        raise StoreFailed("there is no such secret")
    if status != 200:
        _be_away()


def _refuse() -> NoReturn:
    raise StoreFailed("the store refuses this runtime") from None


def _be_away() -> NoReturn:
    raise StoreFailed("the store does not answer", away=True) from None


def _misread() -> NoReturn:
    raise StoreFailed("the store answered with something else") from None


def _package(name: str, extra: str) -> ModuleType:
    """A client's module, imported when its store is first asked. Raises InvalidInput where it is not installed."""
    # Here and not above: these clients take up to half a second to import.
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InvalidInput(
            f"To read secrets of that kind takes the package {package}.", remedy=add_package(package, extra)
        ) from None


_READERS: Final[dict[str, Callable[[str, Environ], str | Mapping[str, object]]]] = {
    "env": _read_variable,
    "file": _read_file,
    "vault": _read_vault,
    "aws-sm": _read_aws,
    "gcp-sm": _read_gcp,
    "op": _read_onepassword,
}
