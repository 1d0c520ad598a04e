"""DomainMapping -> an Ingress that serves a Route under a domain of the user's own.

Its Ingress has the same splits as the Route's, so that a request takes no detour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from tidegate.apis import networking, serving
from tidegate.apis.fields import items, part
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from tidegate.serving.children import Children, NotOwnedError, write_status
from tidegate.serving.conditions import TRUE, UNKNOWN, Verdict, conditions, false, unknown
from tidegate.serving.config import ConfigStore, ServingSettings
from tidegate.serving.metadata import without_bookkeeping
from tidegate.serving.routes.controller import ingress_verdict
from tidegate.serving.routes.domains import certificate_verdict, is_encrypted, public_url
from tidegate.serving.routes.ingress import http_option

_DOMAIN_CLAIMED = "DomainClaimed"
_REFERENCE_RESOLVED = "ReferenceResolved"
_INGRESS_READY = "IngressReady"
_CERTIFICATE_PROVISIONED = "CertificateProvisioned"
_DEPENDANTS = (_DOMAIN_CLAIMED, _REFERENCE_RESOLVED, _CERTIFICATE_PROVISIONED, _INGRESS_READY)
_EXTERNAL = Verdict(
    "True", "CertificateExternallyProvided", "TLS certificate was provided externally"
)
_NOT_SERVED = false("TLSNotServed", "the gateway has no HTTPS port: see `tidegate up --https-port`")
_KINDS = (serving.SERVICES, serving.ROUTES)


def reference_index(mapping: Object) -> list[str]:
    """Indexes DomainMappings by the Route they lead to; a Service's Route has its name."""
    name = part(mapping, "spec", "ref").get("name")
    return [f"{namespace_of(mapping)}/{name}"] if name else []


def make_claim(mapping: Object) -> Object:
    """The claim of a domain for the mapping's namespace."""
    return {
        "apiVersion": networking.CLUSTER_DOMAIN_CLAIMS.api_version,
        "kind": networking.CLUSTER_DOMAIN_CLAIMS.kind,
        "metadata": {"name": name_of(mapping)},
        "spec": {"namespace": namespace_of(mapping)},
    }


def make_mapped_ingress(mapping: Object, target: Object, settings: ServingSettings) -> Object:
    """The Ingress of a DomainMapping: the rule of the Route itself, for another host.

    Args:
        target: the Ingress of the Route.
    """
    rules = items(target, "spec", "rules")
    rule: Object = {
        "hosts": [name_of(mapping)],
        "visibility": "ExternalIP",
        "http": rules[0]["http"],
    }
    inherited = without_bookkeeping(annotations_of(target))
    inherited.pop(networking.ROLLOUT_ANNOTATION, None)
    own = without_bookkeeping(annotations_of(mapping))
    annotations = {
        **inherited,
        **own,
        networking.INGRESS_CLASS_ANNOTATION: own.get(
            networking.INGRESS_CLASS_ANNOTATION, settings.ingress_class
        ),
    }
    secret = part(mapping, "spec", "tls").get("secretName")
    tls: Object = {
        "hosts": [name_of(mapping)],
        "secretName": secret,
        "secretNamespace": namespace_of(mapping),
    }
    inherited_option = str(part(target, "spec").get("httpOption", "Enabled"))
    return {
        "apiVersion": networking.INGRESSES.api_version,
        "kind": networking.INGRESSES.kind,
        "metadata": {
            "name": name_of(mapping),
            "namespace": namespace_of(mapping),
            "labels": {
                **labels_of(mapping),
                serving.DOMAIN_MAPPING_UID_LABEL: uid_of(mapping),
                serving.DOMAIN_MAPPING_NAMESPACE_LABEL: namespace_of(mapping),
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference(mapping)],
        },
        "spec": {
            "rules": [rule],
            "httpOption": http_option(mapping, default=inherited_option),
            **({"tls": [tls]} if secret else {}),
        },
    }


class DomainMappingReconciler:
    """Brings one DomainMapping in line."""

    def __init__(self, context: Context, config: ConfigStore, settings: ServingSettings) -> None:
        self._client = context.client
        self._clock = context.clock
        self._config = config
        self._settings = settings
        informers = context.informers
        self._mappings = informers.of(serving.DOMAIN_MAPPINGS)
        self._mappings.add_index("reference", reference_index)
        self._claims = informers.of(networking.CLUSTER_DOMAIN_CLAIMS)
        self._routes = informers.of(serving.ROUTES)
        self._ingresses = informers.of(networking.INGRESSES)
        self._children = Children(context.client, self._ingresses)

    def controller(self) -> Controller:
        """Runs this reconciler on every change that concerns a DomainMapping."""
        controller = Controller("domain-mapping", self.reconcile, clock=self._clock)
        controller.watch(self._mappings)
        controller.watch(self._claims, self._mappings_of_claim)
        controller.watch(self._ingresses, owner_key(serving.DOMAIN_MAPPINGS))
        controller.watch(self._ingresses, self._mappings_to_route)
        controller.watch(self._routes, self._mappings_to_route)
        self._config.requeue(controller, self._mappings)
        return controller

    def _mappings_of_claim(self, claim: Object) -> Iterable[Key]:
        return [key_of(m) for m in self._mappings.items() if name_of(m) == name_of(claim)]

    def _mappings_to_route(self, route: Object) -> Iterable[Key]:
        """Maps a Route, or its Ingress, which has the same name."""
        value = f"{namespace_of(route)}/{name_of(route)}"
        return [key_of(mapping) for mapping in self._mappings.by_index("reference", value)]

    async def reconcile(self, key: Key) -> None:
        mapping = self._mappings.get(key.name, key.namespace)
        if mapping is None:
            await self._give_up(key)
        if mapping is None or is_deleting(mapping):
            return
        verdicts: dict[str, Verdict] = dict.fromkeys(_DEPENDANTS, UNKNOWN)
        config = self._config.current
        encrypted = is_encrypted(mapping, config, self._settings)
        if part(mapping, "spec", "tls").get("secretName"):
            encrypted = bool(self._settings.https_port)
            verdicts[_CERTIFICATE_PROVISIONED] = _EXTERNAL if encrypted else _NOT_SERVED
        else:
            verdicts[_CERTIFICATE_PROVISIONED] = certificate_verdict(
                mapping, config, self._settings
            )
        await self._observe(mapping, verdicts)
        url = public_url(name_of(mapping), config, self._settings, encrypted=encrypted)
        now = rfc3339(self._clock.time())
        status: Object = {
            "url": url,
            "address": {"url": url},
            "conditions": conditions(mapping, verdicts, dependants=_DEPENDANTS, now=now),
            "observedGeneration": mapping["metadata"].get("generation", 0),
        }
        await write_status(self._client, serving.DOMAIN_MAPPINGS, mapping, status)

    async def _observe(self, mapping: Object, verdicts: dict[str, Verdict]) -> None:
        verdicts[_DOMAIN_CLAIMED] = await self._claim(mapping)
        if verdicts[_DOMAIN_CLAIMED].status != "True":
            # A domain that is another's must not be served, were it so before.
            await self._children.remove(mapping, name_of(mapping))
            return
        target = self._target(mapping)
        if isinstance(target, Verdict):
            verdicts[_REFERENCE_RESOLVED] = target
            await self._children.remove(mapping, name_of(mapping))
            return
        verdicts[_REFERENCE_RESOLVED] = TRUE
        try:
            ingress = await self._children.ensure_exact(
                mapping, make_mapped_ingress(mapping, target, self._settings)
            )
        except NotOwnedError as error:
            verdicts[_INGRESS_READY] = false("NotOwned", str(error))
            return
        verdicts[_INGRESS_READY] = ingress_verdict(ingress)

    async def _claim(self, mapping: Object) -> Verdict:
        claim = self._claims.get(name_of(mapping))
        if claim is None:
            if not self._config.current.network.autocreate_cluster_domain_claims:
                return false(
                    "DomainClaimFailed",
                    "no ClusterDomainClaim found for domain and "
                    f'autocreate-cluster-domain-claims is "false": create one named '
                    f'"{name_of(mapping)}" with spec.namespace "{namespace_of(mapping)}"',
                )
            claim = await self._client.create(networking.CLUSTER_DOMAIN_CLAIMS, make_claim(mapping))
        if part(claim, "spec").get("namespace") != namespace_of(mapping):
            return false(
                "DomainAlreadyClaimed",
                "The domain name is already in use by another DomainMapping",
            )
        return TRUE

    async def _give_up(self, key: Key) -> None:
        """Delete the claim of a DomainMapping that is gone, where claims come by themselves."""
        claim = self._claims.get(key.name)
        if claim is None or not self._config.current.network.autocreate_cluster_domain_claims:
            return
        if part(claim, "spec").get("namespace") == key.namespace:
            with contextlib.suppress(NotFound):
                await self._client.delete(
                    networking.CLUSTER_DOMAIN_CLAIMS, key.name, uid=uid_of(claim)
                )

    def _target(self, mapping: Object) -> Object | Verdict:
        """The Ingress of the Route that the reference leads to, or why there is none."""
        reference = part(mapping, "spec", "ref")
        known = any(
            reference.get("kind") == kind.kind and reference.get("apiVersion") == kind.api_version
            for kind in _KINDS
        )
        if not known:
            return false(
                "ResolveFailed",
                f"{reference.get('apiVersion')} {reference.get('kind')} has no address: "
                "only Knative Services and Routes can be mapped",
            )
        name = str(reference.get("name"))
        target = self._ingresses.get(name, namespace_of(mapping))
        if target is not None and items(target, "spec", "rules"):
            return target
        referent = f'{str(reference["kind"]).lower()}s.serving.knative.dev "{name}"'
        if self._routes.get(name, namespace_of(mapping)) is None:
            return false("ResolveFailed", f"{referent} not found")
        return unknown("ResolveFailed", f"{referent} has no traffic yet")
