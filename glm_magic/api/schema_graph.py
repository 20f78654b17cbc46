"""Which parts of a JSON Schema lead to which: references that are lost, or never end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any

from glm_magic.api.json_schema import BadSchema, pointed
from glm_magic.api.line import short

__all__ = ["SchemaGraph", "graph_of", "recursive_choices", "refuse_lost_or_endless"]

# These apply to the same value as the schema they stand in; a loop of them never ends.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
# What stands below these is named by the user; below those is data.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")


def refuse_lost_or_endless(graph: SchemaGraph) -> None:
    """Refuse a schema with a reference that leads nowhere, or to itself without an end.

    Raises:
        BadSchema: it has one.
    """
    lost = graph.lost if graph.has_id or graph.outside is None else graph.outside
    if lost is not None:
        raise BadSchema(f"nothing is at $ref {short(lost)!r}")
    try:
        TopologicalSorter(graph.in_place).prepare()
    except CycleError as error:
        raise BadSchema("it refers to itself without end") from error


def recursive_choices(graph: SchemaGraph) -> int:
    """Return how many choices of an `anyOf` or `oneOf` lead to it again; all if that is open."""
    most = 1
    for origin, choices in graph.choices:
        again = (graph.is_open or _leads_to(graph.edges, choice, origin) for choice in choices)
        most = max(most, sum(again))
    return most


def _leads_to(edges: dict[int, set[int]], start: int, goal: int) -> bool:
    seen = {start}
    waiting = [start]
    while waiting and goal not in seen:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return goal in seen


@dataclass(slots=True)
class SchemaGraph:
    """Which schemas hold or refer to which, by identity.

    Attributes:
        in_place: those of them that apply to the same value.
        lost: a reference that leads nowhere.
        outside: one to another document, which may be a part of this one that has an `$id`.
        has_id: whether any part has one.
        is_open: whether a reference is left to jsonschema_rs.
        choices: a schema, and the choices of an `anyOf` or `oneOf` in it.
    """

    edges: dict[int, set[int]] = field(default_factory=dict)
    in_place: dict[int, set[int]] = field(default_factory=dict)
    lost: str | None = None
    outside: str | None = None
    has_id: bool = False
    is_open: bool = False
    choices: list[tuple[int, list[int]]] = field(default_factory=list)


def graph_of(schema: dict[str, Any]) -> SchemaGraph:
    """Return the graph of a schema and all that it holds."""
    graph = SchemaGraph()
    waiting = [(schema, schema)]
    while waiting:
        part, document = waiting.pop()
        if id(part) in graph.edges:
            continue
        if isinstance(part.get("$id"), str) and not part["$id"].startswith("#"):
            document, graph.has_id = part, True
        inside = list(_subschemas(part))
        targets = list(_targets(part, document, graph))
        graph.edges[id(part)] = {id(one) for one in chain(inside, targets)}
        graph.in_place[id(part)] = {id(one) for one in chain(_applied_in_place(part), targets)}
        for choices in (part.get("anyOf"), part.get("oneOf")):
            graph.choices.append((id(part), [id(one) for one in _listed(choices)]))
        waiting += [(one, document) for one in chain(inside, targets)]
    return graph


def _targets(
    part: dict[str, Any], document: dict[str, Any], graph: SchemaGraph
) -> Iterator[dict[str, Any]]:
    """What a schema refers to, or a note in the graph."""
    graph.is_open |= "$dynamicRef" in part or "$recursiveRef" in part
    reference = part.get("$ref")
    if not isinstance(reference, str):
        return
    target = pointed(document, reference or "#")
    if isinstance(target, dict):
        yield target
    elif reference == "#" or reference.startswith("#/"):
        graph.lost = reference if target is None else graph.lost
    else:
        graph.is_open = True
        graph.outside = graph.outside if reference.startswith("#") else reference


def _subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for keyword, part in schema.items():
        if keyword in _DATA:
            continue
        parts = part.values() if keyword in _NAMED and isinstance(part, dict) else _listed(part)
        yield from (one for one in parts if isinstance(one, dict))


def _applied_in_place(schema: dict[str, Any]) -> Iterator[Any]:
    return chain.from_iterable(_listed(schema.get(keyword)) for keyword in _IN_PLACE)


def _listed(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]
