"""Holds lines of JSON, on stdin, against a schema, and takes no field that it does not name.

validate.py SCHEMA      prints a sentence for each line that is wrong
"""

import json
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


def strict(node):
    """The schema with every object closed: the real one lets later versions add fields."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {key: strict(value) for key, value in node.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
kinds = {"sweep": "run", "list": "run", "rescue": "run"}
for line in sys.stdin:
    given = json.loads(line)
    command = given.get("command", "event")
    if command == "event" and given.get("event") in ("ready", "following"):
        command = "ready"
    # Of its kind alone: "is not valid under any of the given schemas" helps nobody.
    one = strict({**schema, "oneOf": [{"$ref": f"#/$defs/{kinds.get(command, command)}"}]})
    wrong = best_match(Draft202012Validator(one).iter_errors(given))
    if wrong:
        place = "/".join(str(part) for part in wrong.absolute_path)
        print(f"{command}: {place or 'the object'}: {wrong.message}: {line.strip()}")
    elif any(True for _ in Draft202012Validator(schema).iter_errors(given)):
        print(f"{command}: not exactly one of the schema's kinds: {line.strip()}")
