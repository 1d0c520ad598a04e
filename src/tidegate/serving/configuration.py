"""Configuration -> Revision: one for every template; the newest ready one is remembered."""

from __future__ import annotations

from tidegate.apis import serving
from tidegate.apis.defaults import with_defaults
from tidegate.apis.fields import part
from tidegate.kube.clock import Clock, rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.errors import AlreadyExists, BadRequest, Forbidden, Invalid
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_controlled_by,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from tidegate.serving.children import write_status
from tidegate.serving.conditions import (
    TRUE,
    UNKNOWN,
    Verdict,
    conditions,
    false,
    is_ready,
    verdict_of,
)
from tidegate.serving.config import ConfigStore
from tidegate.serving.naming import child_name
from tidegate.serving.service import is_usable


def make_revision(configuration: Object, *, now: str) -> Object:
    """The Revision of a Configuration's current generation."""
    template = part(configuration, "spec", "template")
    metadata = part(template, "metadata")
    generation = generation_of(configuration)
    labels: dict[str, str] = {
        **(metadata.get("labels") or {}),
        serving.CONFIGURATION_LABEL: name_of(configuration),
        serving.CONFIGURATION_GENERATION_LABEL: str(generation),
        serving.CONFIGURATION_UID_LABEL: uid_of(configuration),
        serving.ROUTING_STATE_LABEL: "pending",
    }
    for key in (serving.SERVICE_LABEL, serving.SERVICE_UID_LABEL):
        if key in labels_of(configuration):
            labels[key] = labels_of(configuration)[key]
    annotations: dict[str, str] = {
        **(metadata.get("annotations") or {}),
        serving.ROUTING_STATE_MODIFIED_ANNOTATION: now,
    }
    author = annotations_of(configuration).get(serving.LAST_MODIFIER_ANNOTATION)
    if author:
        annotations[serving.CREATOR_ANNOTATION] = author
    return {
        "apiVersion": serving.REVISIONS.api_version,
        "kind": serving.REVISIONS.kind,
        "metadata": {
            "name": metadata.get("name")
            or child_name(name_of(configuration), f"-{generation:05d}"),
            "namespace": namespace_of(configuration),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(configuration)],
        },
        "spec": part(template, "spec"),
    }


def generation_of(configuration: Object) -> int:
    """The generation of the spec."""
    return int(configuration["metadata"].get("generation", 0))


def configuration_generation(revision: Object) -> int:
    """The generation of the Configuration that a Revision was made from; 0 where unknown."""
    text = labels_of(revision).get(serving.CONFIGURATION_GENERATION_LABEL, "")
    return int(text) if text.isdecimal() else 0


def latest_ready(configuration: Object, latest_created: Object, revisions: list[Object]) -> str:
    """The newest ready Revision that is not older than the present latest ready one.

    Args:
        latest_created: the Revision of the current template, which counts as the newest.
        revisions: all of the Configuration.
    """
    known = str(part(configuration, "status").get("latestReadyRevisionName") or "")
    present = next((item for item in revisions if name_of(item) == known), None)
    oldest = configuration_generation(present) if present else 0
    candidates = [
        item
        for item in revisions
        if name_of(item) == name_of(latest_created)
        or oldest <= configuration_generation(item) <= generation_of(configuration)
    ]
    candidates.sort(
        key=lambda item: (
            name_of(item) == name_of(latest_created),
            configuration_generation(item),
        ),
        reverse=True,
    )
    return next((name_of(item) for item in candidates if is_ready(item)), known)


class ConfigurationReconciler:
    """Brings one Configuration in line."""

    def __init__(self, context: Context, config: ConfigStore, recorder: EventRecorder) -> None:
        self._config = config
        self._client = context.client
        self._clock: Clock = context.clock
        self._recorder = recorder
        self._configurations = context.informers.of(serving.CONFIGURATIONS)
        self._revisions = context.informers.of(serving.REVISIONS)
        self._revisions.add_index("configuration", configuration_index)

    def controller(self) -> Controller:
        """Runs this reconciler on every change that concerns a Configuration."""
        controller = Controller("configuration", self.reconcile, clock=self._clock)
        controller.watch(self._configurations)
        controller.watch(self._revisions, owner_key(serving.CONFIGURATIONS))
        return controller

    async def reconcile(self, key: Key) -> None:
        configuration = self._configurations.get(key.name, key.namespace)
        if configuration is None or is_deleting(configuration):
            return
        status: Object = dict(configuration.get("status") or {})
        wanted = with_defaults(configuration, self._config.current)
        verdict = await self._observe(wanted, status)
        now = rfc3339(self._clock.time())
        status["conditions"] = conditions(configuration, {"Ready": verdict}, dependants=(), now=now)
        status["observedGeneration"] = generation_of(configuration)
        await write_status(self._client, serving.CONFIGURATIONS, configuration, status)

    async def _observe(self, configuration: Object, status: Object) -> Verdict:
        name = part(configuration, "spec", "template", "metadata").get("name")
        revisions = self._revisions_of(configuration)
        created = self._find(configuration, revisions, name)
        if created is not None and name and not is_usable(created, configuration):
            reason = f'revisions.serving.knative.dev "{name}" already exists'
            return _creation_failed(reason)
        if created is None:
            try:
                created = await self._create(configuration)
            except AlreadyExists as error:
                created = await self._taken(configuration)
                if created is None:
                    return _creation_failed(str(error))
            except (BadRequest, Invalid, Forbidden) as error:
                await self._recorder.warning(
                    configuration, "CreationFailed", f"Failed to create Revision: {error}"
                )
                return _creation_failed(str(error))
        return await self._judge(configuration, status, created, revisions)

    async def _judge(
        self, configuration: Object, status: Object, created: Object, revisions: list[Object]
    ) -> Verdict:
        before = status.get("latestReadyRevisionName")
        ready = latest_ready(configuration, created, revisions)
        status["latestCreatedRevisionName"] = name_of(created)
        if ready:
            status["latestReadyRevisionName"] = ready
        if ready and ready != before:
            await self._recorder.normal(
                configuration, "LatestReadyUpdate", f'LatestReadyRevisionName updated to "{ready}"'
            )
        verdict = verdict_of(created, "Ready")
        if verdict.status == "False":
            return false(
                "RevisionFailed",
                f'Revision "{name_of(created)}" failed with message: {verdict.message}.',
            )
        if ready == name_of(created):
            return TRUE
        if ready and self._revisions.get(ready, namespace_of(configuration)) is None:
            return false("RevisionDeleted", f'Revision "{ready}" was deleted.')
        return UNKNOWN

    def _revisions_of(self, configuration: Object) -> list[Object]:
        found = self._revisions.by_index("configuration", index_key(configuration))
        return [item for item in found if is_controlled_by(item, configuration)]

    def _find(
        self, configuration: Object, revisions: list[Object], name: str | None
    ) -> Object | None:
        if name:
            return self._revisions.get(name, namespace_of(configuration))
        generation = generation_of(configuration)
        for revision in revisions:
            if configuration_generation(revision) == generation:
                return revision
        return None

    async def _create(self, configuration: Object) -> Object:
        revision = make_revision(configuration, now=rfc3339(self._clock.time()))
        created = await self._client.create(serving.REVISIONS, revision)
        await self._recorder.normal(
            configuration, "Created", f'Created Revision "{name_of(created)}"'
        )
        return created

    async def _taken(self, configuration: Object) -> Object | None:
        """The Revision in the way, if it is ours and only the cache was behind."""
        metadata = make_revision(configuration, now="")["metadata"]
        live = await self._client.get(
            serving.REVISIONS, metadata["name"], namespace=metadata["namespace"]
        )
        return live if is_controlled_by(live, configuration) else None


def _creation_failed(reason: str) -> Verdict:
    return false("RevisionFailed", f"Revision creation failed with message: {reason}.")


def index_key(configuration: Object) -> str:
    """The key of a Configuration in the index of Revisions."""
    return f"{namespace_of(configuration)}/{name_of(configuration)}"


def configuration_index(revision: Object) -> list[str]:
    """Indexes Revisions by their Configuration."""
    name = labels_of(revision).get(serving.CONFIGURATION_LABEL)
    return [f"{namespace_of(revision)}/{name}"] if name else []
