# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Reads the attestations of a release with the parsers of in-toto and PyPI. Run by a Python that has both.

Prints one JSON object: what PyPI's own builder writes for each distribution, and the subjects and builder of the provenance.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from pypi_attestations import AttestationType, Distribution
from sigstore.dsse import DigestSet, StatementBuilder, Subject


def published(file: Path) -> Any:
    """The statement that PyPI's publisher signs for a distribution."""
    distribution = Distribution.from_file(file)
    subject = Subject(name=distribution.name, digest=DigestSet(root={"sha256": distribution.digest}))
    built = StatementBuilder().subjects([subject]).predicate_type(AttestationType.PYPI_PUBLISH_V1).build()
    return json.loads(built._contents)


def provenance(file: Path) -> Any:
    """Subjects and builder of the provenance; its parsers refuse fields that they do not know."""
    written = json.loads(file.read_text(encoding="utf-8"))
    message = json_format.ParseDict(
        {name.removeprefix("_"): value for name, value in written.items()}, statement_pb2.Statement()
    )
    statement = Statement.copy_from_pb(message)
    statement.validate()
    predicate = json_format.ParseDict(written["predicate"], Provenance())
    return {
        "subjects": {subject.name: dict(subject.digest) for subject in message.subject},
        "build_type": predicate.build_definition.build_type,
        "builder": predicate.run_details.builder.id,
        "commits": [dict(source.digest) for source in predicate.build_definition.resolved_dependencies],
    }


folder = Path(sys.argv[1])
[statement_file] = folder.glob("*.provenance.json")
distributions = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
print(
    json.dumps(
        {
            "published": {file.name: published(file) for file in distributions},
            "provenance": provenance(statement_file),
        }
    )
)
