"""As much of IAM's evaluation as the roles' policies use
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html)."""

import fnmatch
from typing import Any


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(documents: list[dict[str, Any]]) -> set[str]:
    """All that is allowed, of whatever resource."""
    return {
        action
        for document in documents
        for statement in document["Statement"]
        for action in _list(statement["Action"])
    }


def allows(
    documents: list[dict[str, Any]], action: str, resource: str, context: dict[str, str]
) -> bool:
    """Whether the action on the resource is allowed."""
    return any(
        action in _list(statement["Action"])
        and any(_matches(pattern, resource) for pattern in _list(statement["Resource"]))
        and _holds(statement.get("Condition", {}), context)
        for document in documents
        for statement in document["Statement"]
    )


def _matches(pattern: str, resource: str) -> bool:
    return fnmatch.fnmatchcase(resource, pattern.replace("[", "[[]"))


def _holds(condition: dict[str, dict[str, str]], context: dict[str, str]) -> bool:
    for operator, keys in condition.items():
        assert operator in ("StringEquals", "BoolIfExists"), operator
        for key, value in keys.items():
            if key not in context and operator.endswith("IfExists"):
                continue
            if context.get(key) not in _list(value):
                return False
    return True
