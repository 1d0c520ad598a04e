"""Follows the CustomResourceDefinitions: serves what they define, and cleans up behind them.

Runs beside the API, on which it acts as any client would: it writes the definitions' status, and
when one is deleted it deletes the objects of its kind before it lets the definition go.
"""

from __future__ import annotations

from dataclasses import replace

from tidegate.apiserver.registry.custom import CLEANUP, specs_of
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import ALL_VERBS, KindSpec
from tidegate.apiserver.values import objects, section, strings
from tidegate.kube.client import Client
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    is_deleting,
    name_of,
    namespace_of,
    with_condition,
)
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

_CLEANUP_POLL_SECONDS = 0.5
_VERBS_WHILE_ENDING = tuple(verb for verb in ALL_VERBS if verb != "create")


class CustomKinds:
    """Keeps a registry in line with the definitions.

    Args:
        registry: that of the API behind `context.client`.
        context: with all rights; its informers are run by the caller.

    Attributes:
        controller: to be run by the caller.
    """

    def __init__(self, registry: Registry, context: Context) -> None:
        self._registry = registry
        self._client: Client = context.client
        self._clock = context.clock
        self._informer = context.informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._served: dict[str, list[KindSpec]] = {}
        self._generations: dict[str, int | None] = {}
        self.controller = Controller(
            "custom-kinds", self._reconcile, clock=context.clock, workers=1
        ).watch(self._informer)

    async def _reconcile(self, key: Key) -> float | None:
        definition = self._informer.get(key.name)
        if definition is None:
            self._serve(key.name, [])
            return None
        conflict = self._conflict(definition)
        specs = [] if conflict else specs_of(definition)
        if is_deleting(definition):
            specs = [replace(spec, verbs=_VERBS_WHILE_ENDING) for spec in specs]
        self._serve_changed(key.name, definition, specs)
        if await self._write_status(definition, conflict) or not is_deleting(definition):
            return None
        return await self._clean_up(definition, specs)

    def _serve_changed(self, name: str, definition: Object, specs: list[KindSpec]) -> None:
        generation = definition["metadata"].get("generation")
        if self._generations.get(name) != generation or not specs:
            self._generations[name] = generation
            self._serve(name, specs)

    def _serve(self, name: str, specs: list[KindSpec]) -> None:
        kept = {spec.resource for spec in specs}
        for old in self._served.pop(name, []):
            if old.resource not in kept:
                self._registry.remove(old.resource)
        for spec in specs:
            self._registry.add(spec)
        if specs:
            self._served[name] = specs
        else:
            self._generations.pop(name, None)

    def _conflict(self, definition: Object) -> tuple[str, str] | None:
        """Why the names cannot be served, as reason and message: another kind has them."""
        spec = section(definition, "spec")
        names = section(spec, "names")
        own = {s.resource for s in self._served.get(name_of(definition), [])}
        others = [
            other.resource
            for other in self._registry.specs()
            if other.resource.group == spec.get("group") and other.resource not in own
        ]
        plurals = {r.plural for r in others} | {short for r in others for short in r.short_names}
        singulars = {r.kind.lower() for r in others}
        kinds = {r.kind for r in others} | {f"{r.kind}List" for r in others}
        # Of several, Kubernetes tells the last that it finds.
        for reason, name, taken in (
            ("ListKindConflict", names.get("listKind"), kinds),
            ("KindConflict", names.get("kind"), kinds),
            *(("ShortNamesConflict", n, plurals) for n in strings(names.get("shortNames"))),
            ("SingularConflict", names.get("singular"), plurals | singulars),
            ("PluralConflict", names.get("plural"), plurals | singulars),
        ):
            if name in taken:
                return reason, f'"{name}" is already in use'
        return None

    async def _write_status(self, definition: Object, conflict: tuple[str, str] | None) -> bool:
        """Tells whether there was anything to write: then its event leads back here."""
        now = rfc3339(self._clock.time())
        spec, status = section(definition, "spec"), section(definition, "status")
        stored = next(str(v["name"]) for v in objects(spec.get("versions")) if v.get("storage"))
        versions = strings(status.get("storedVersions"))
        conditions = conditions_of(definition)
        for condition in _conditions(conflict, ending=is_deleting(definition)):
            conditions = with_condition(conditions, condition, now=now)
        wanted: Object = {
            **status,
            "conditions": conditions,
            "acceptedNames": {} if conflict else section(spec, "names"),
            "storedVersions": versions if stored in versions else [*versions, stored],
        }
        if wanted == status:
            return False
        await self._client.update(
            CUSTOM_RESOURCE_DEFINITIONS, {**definition, "status": wanted}, subresource="status"
        )
        return True

    async def _clean_up(self, definition: Object, specs: list[KindSpec]) -> float | None:
        finalizers = strings(definition["metadata"].get("finalizers"))
        if CLEANUP not in finalizers:
            return None
        if specs and await self._delete_all(specs[0].resource):
            return _CLEANUP_POLL_SECONDS
        patch: Object = {
            "metadata": {
                "resourceVersion": definition["metadata"]["resourceVersion"],
                "finalizers": [name for name in finalizers if name != CLEANUP],
            }
        }
        await self._client.patch(CUSTOM_RESOURCE_DEFINITIONS, name_of(definition), patch)
        return None

    async def _delete_all(self, resource: Resource) -> bool:
        """Delete what is left of a kind; tells whether something is."""
        listing = await self._client.list(resource)
        for obj in listing.items:
            if is_deleting(obj):
                continue
            try:
                await self._client.delete(
                    resource, name_of(obj), namespace=namespace_of(obj) or None
                )
            except NotFound:
                continue
        return bool(listing.items)


def _conditions(conflict: tuple[str, str] | None, *, ending: bool) -> list[Object]:
    reason, message = conflict or ("NoConflicts", "no conflicts found")
    conditions: list[Object] = [
        {
            "type": "NamesAccepted",
            "status": "False" if conflict else "True",
            "reason": reason,
            "message": message,
        },
        {
            "type": "Established",
            "status": "False" if conflict else "True",
            "reason": "NotAccepted" if conflict else "InitialNamesAccepted",
            "message": (
                "not all names are accepted" if conflict else "the initial names have been accepted"
            ),
        },
    ]
    if ending:
        conditions.append(
            {
                "type": "Terminating",
                "status": "True",
                "reason": "InstanceDeletionInProgress",
                "message": "CustomResource deletion is in progress",
            }
        )
    return conditions
