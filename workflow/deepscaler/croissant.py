"""A table's description in MLCommons' Croissant format, with its fields for responsible AI, beside the table.

What search engines and loaders read of a data set: files by digest, columns, licence, how it was made, what it must not
be used for. Format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html, …-rai-spec.html
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepscaler.files import sha256, write_json

CONFORMS_TO = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
# fmt: off
OWN = (
    "citeAs", "column", "data", "dataType", "equivalentProperty", "examples", "extract", "field",
    "fileObject", "fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key",
    "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "separator", "source", "subField", "transform",
)
# fmt: on
"""Croissant's own terms; others are schema.org's."""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in OWN},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


@dataclass(frozen=True)
class Described:
    """A data set in words; `columns` says what each means, `responsible` has the fields of the RAI vocabulary."""

    name: str
    description: str
    licence: str
    citation: str
    columns: dict[str, str]
    responsible: dict[str, str]


def describe(path: Path, table: Path, what: Described) -> None:
    """Write to `path` what a Parquet `table` in the same folder holds; a column without a meaning is a KeyError."""
    file = {
        "@type": "cr:FileObject",
        "@id": table.name,
        "name": table.name,
        "contentUrl": table.name,
        "contentSize": f"{table.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256(table),
    }
    record_set = {
        "@type": "cr:RecordSet",
        "@id": "problems",
        "name": "problems",
        "key": {"@id": "problems/id"},
        "field": [field(column, what.columns[column.name], table.name) for column in pq.read_schema(table)],
    }
    write_json(
        path,
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "name": what.name,
            "description": what.description,
            "conformsTo": CONFORMS_TO,
            "license": what.licence,
            "citeAs": what.citation,
            "version": f"1.0.0+{file['sha256'][:12]}",  # another digest is another version
            **{f"rai:{term}": text for term, text in what.responsible.items()},
            "distribution": [file],
            "recordSet": [record_set],
        },
    )


def field(column: pa.Field, meaning: str, file: str) -> dict[str, Any]:
    several = pa.types.is_list(column.type)
    return {
        "@type": "cr:Field",
        "@id": f"problems/{column.name}",
        "name": column.name,
        "description": meaning,
        "dataType": "sc:Text",
        **({"repeated": True} if several else {}),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
