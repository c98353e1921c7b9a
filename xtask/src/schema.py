"""Checks the JSON document on standard input against a schema from a Python package, and prints one
line per mistake.

    schema.py compose|workflow|renovate|cyclonedx
"""

import json
import pathlib
import sys

import jsonschema
import referencing

PACKAGES = pathlib.Path(jsonschema.__file__).parent.parent
VENDORED = PACKAGES / "check_jsonschema/builtin_schemas/vendor"
CYCLONEDX = PACKAGES / "cyclonedx/schema/_res"
SCHEMAS = {
    "compose": VENDORED / "compose-spec.json",
    "workflow": VENDORED / "github-workflows.json",
    "renovate": VENDORED / "renovate.json",
    "cyclonedx": CYCLONEDX / "bom-1.6.SNAPSHOT.schema.json",
}


def load(path):
    return json.loads(path.read_text())


# The schemas that CycloneDX's schema refers to by `$id`.
others = [load(CYCLONEDX / f"{name}.SNAPSHOT.schema.json") for name in ("spdx", "jsf-0.82")]
registry = referencing.Registry().with_contents((schema["$id"], schema) for schema in others)

schema = load(SCHEMAS[sys.argv[1]])
validator = jsonschema.validators.validator_for(schema)(schema, registry=registry)
mistakes = [
    f"{error.json_path}: {error.message[:300]}"
    for error in validator.iter_errors(json.load(sys.stdin))
]
print("\n".join(mistakes))
