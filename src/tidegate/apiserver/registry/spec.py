"""`KindSpec`: all that the server must know of one served kind, in one declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.apis.kinds import Admit, PrinterColumn
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import Resource

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)

Schema = dict[str, Any]
Default = Callable[[Object], None]
Validate = Callable[[Object, "Object | None", FieldErrors], None]
CreateHandler = Callable[[RequestContext, Object], Awaitable[Object]]
Reader = Callable[["str | None"], Awaitable[list[Object]]]


class ClusterView(Protocol):
    """What a kind's `prepare` may see of the other objects, including writes on their way."""

    def find(self, resource: Resource, key: Key) -> Object | None:
        """One object, or None."""
        ...

    def all(self, resource: Resource, namespace: str | None = None) -> Iterable[Object]:
        """All objects of a resource, or those of one namespace."""
        ...


Prepare = Callable[[Object, "Object | None", ClusterView, FieldErrors], None]


@dataclass(frozen=True)
class ScaleSpec:
    """Where the scale subresource finds its numbers, as dotted paths."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True)
class Form:
    """How a kind is stored that is another one's objects under other names.

    Attributes:
        stored_as: the other kind.
        to_stored: from this form to the other's; gives a new object.
        from_stored: and back.
    """

    stored_as: Resource
    to_stored: Callable[[Object], Object]
    from_stored: Callable[[Object], Object]


@dataclass(frozen=True)
class KindSpec:
    """One kind at one version.

    Attributes:
        resource: names and scope.
        schema: the OpenAPI v3 schema of the whole object. May hold `$ref`s of the form
            `#/components/schemas/NAME` into `Registry.definitions`. Called once.
        schema_name: the name of this schema among the definitions, e.g.
            `io.k8s.api.core.v1.Pod`.
        default: fills defaults in place, in an object that the pipeline owns.
        validate: reports into FieldErrors; the old object is None on create.
        admit: defaults and validation in one, as our own kinds bring them.
        prepare: what needs a look at other objects (allocations, existence), in place.
        create_handler: answers a create without storing (reviews); such a kind has only the
            verb `create`.
        reader: gives the objects of a namespace, or of all, of a kind that is not stored; such a
            kind has only the verbs `get` and `list`.
        warn: what the user is told about an object that is taken nevertheless.
        status_subresource: status is written only through `/status`.
        kept_by_status: metadata that a write of the status leaves as it is, of built-in types;
            of others it leaves all.
        generation: `metadata.generation` counts changes outside metadata and status.
        scale: the scale subresource, if any.
        subresources: others, for discovery, as (name, kind, verbs).
        strategic: strategic merge patch is offered (built-in types only).
        unconditional_update: an update need not say the version that it replaces.
        create_on_update: an update of an object that is not there makes it.
        default_propagation: of a delete that names none, where it is not `Background`.
        custom: comes from a CustomResourceDefinition, so that other versions of it may be stored.
        complete: of a custom kind, gives an object the defaults that its schema has got since it
            was stored.
        deprecation: what users of this version are warned of, empty for nothing.
        form: where the objects are stored as another kind's.
        verbs: what is served.
        printer_columns: for tables, where the kind brings its own.
        selectable_fields: what field selectors may name beside metadata.name and .namespace.
        name_rule: `subdomain`, `label`, `label1035` or `path`: the syntax of metadata.name.
    """

    resource: Resource
    schema: Callable[[], Schema]
    schema_name: str
    default: Default | None = None
    validate: Validate | None = None
    admit: Admit | None = None
    prepare: Prepare | None = None
    create_handler: CreateHandler | None = None
    warn: Callable[[Object], Iterable[str]] | None = None
    reader: Reader | None = None
    status_subresource: bool = False
    kept_by_status: tuple[str, ...] = ()
    generation: bool = False
    scale: ScaleSpec | None = None
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    strategic: bool = False
    unconditional_update: bool = False
    create_on_update: bool = False
    default_propagation: str = ""
    custom: bool = False
    complete: Callable[[Object], Object] | None = None
    deprecation: str = ""
    form: Form | None = None
    verbs: tuple[str, ...] = ALL_VERBS
    printer_columns: tuple[PrinterColumn, ...] = ()
    selectable_fields: tuple[str, ...] = ()
    name_rule: str = "subdomain"

    @property
    def bucket(self) -> str:
        """Where the store keeps the objects: the same for all versions of a kind."""
        resource = self.form.stored_as if self.form else self.resource
        return f"{resource.group}/{resource.plural}"

    @property
    def converts(self) -> bool:
        """Whether what is stored may have to be changed before it is shown."""
        return self.custom or self.form is not None
