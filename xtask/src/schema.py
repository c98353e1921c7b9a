"""Checks documents against a JSON Schema. Reads `schema`, the name of a published schema or a schema, and
`documents` as JSON from standard input. Prints the mistakes of each document as JSON.
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

request = json.load(sys.stdin)
schema = request["schema"]
if isinstance(schema, str):
    schema = load(SCHEMAS[schema])
validator_class = jsonschema.validators.validator_for(schema)
validator_class.check_schema(schema)
validator = validator_class(schema, registry=registry)
mistakes = [
    [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
    for document in request["documents"]
]
json.dump(mistakes, sys.stdout)
