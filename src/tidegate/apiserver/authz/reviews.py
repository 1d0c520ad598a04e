"""Questions to the API about identities and rights, answered and never stored.

`kubectl auth can-i` and `auth whoami` ask these, and so do programs that let the API decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.apiserver.authn.authenticator import Authenticator
from tidegate.apiserver.authn.tokens import ISSUER
from tidegate.apiserver.authz.authorizer import RbacAuthorizer
from tidegate.apiserver.authz.rbac import Action, Rule
from tidegate.apiserver.registry.fielderrors import FieldErrors, invalid_object
from tidegate.apiserver.registry.schemas.builtin import reference, schema_name
from tidegate.apiserver.registry.spec import CreateHandler, KindSpec
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.errors import BadRequest, Invalid, Unauthorized
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"


class Reviews:
    """Answers all kinds of review."""

    def __init__(self, authenticator: Authenticator, authorizer: RbacAuthorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def specs(self) -> list[KindSpec]:
        """The kinds, for the registry."""
        authorization: tuple[tuple[str, bool, CreateHandler], ...] = (
            ("SelfSubjectAccessReview", False, self._self_access),
            ("SelfSubjectRulesReview", False, self._self_rules),
            ("SubjectAccessReview", False, self._access),
            ("LocalSubjectAccessReview", True, self._access),
        )
        authentication: tuple[tuple[str, bool, CreateHandler], ...] = (
            ("TokenReview", False, self._token),
            ("SelfSubjectReview", False, self._self),
        )
        return [
            *(_spec(_AUTHORIZATION, "authorization", *entry) for entry in authorization),
            *(_spec(_AUTHENTICATION, "authentication", *entry) for entry in authentication),
        ]

    async def _self_access(self, context: RequestContext, review: Object) -> Object:
        return self._decided(review, context.user)

    async def _access(self, _context: RequestContext, review: Object) -> Object:
        spec: Object = review.get("spec") or {}
        if not spec.get("user") and not spec.get("groups"):
            raise _invalid(
                review, "spec.user", "", "at least one of user or group must be specified"
            )
        extra: dict[str, list[str]] = spec.get("extra") or {}
        user = User(
            str(spec.get("user") or ""),
            tuple(spec.get("groups") or ()),
            str(spec.get("uid") or ""),
            {name: tuple(values) for name, values in extra.items()},
        )
        return self._decided(review, user)

    def _decided(self, review: Object, user: User) -> Object:
        decision = self._authorizer.decide(user, _action(review))
        status: Object = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        return {**review, "status": status}

    async def _self_rules(self, context: RequestContext, review: Object) -> Object:
        spec: Object = review.get("spec") or {}
        namespace = str(spec.get("namespace") or "")
        if not namespace:
            raise BadRequest("no namespace on request")
        rules = self._authorizer.rules_for(context.user, namespace)
        status = {
            "resourceRules": list(_resource_rules(rules)),
            "nonResourceRules": list(_path_rules(rules)),
            "incomplete": False,
        }
        return {**review, "status": status}

    async def _token(self, _context: RequestContext, review: Object) -> Object:
        spec: Object = review.get("spec") or {}
        token = str(spec.get("token") or "")
        if not token:
            raise BadRequest(
                "spec.token: Required value: token is required for TokenReview in authentication"
            )
        audiences: list[str] = spec.get("audiences") or [ISSUER]
        status: Object
        try:
            user = self._authenticator.user_of_token(token, audiences)
        except Unauthorized as error:
            status = {"authenticated": False, "error": str(error)}
        else:
            status = {
                "authenticated": True,
                "user": _user_info(user),
                "audiences": list(self._authenticator.audiences_of(token, audiences)),
            }
        return {**review, "status": status}

    async def _self(self, context: RequestContext, review: Object) -> Object:
        return {**review, "status": {"userInfo": _user_info(context.user)}}


def _spec(group: str, short: str, kind: str, namespaced: bool, handler: CreateHandler) -> KindSpec:
    name = schema_name(short, kind)
    return KindSpec(
        resource=Resource(group, "v1", kind, f"{kind.lower()}s", namespaced),
        schema=lambda: reference(name),
        schema_name=name,
        create_handler=handler,
        verbs=("create",),
    )


def _invalid(review: Object, path: str, value: Any, detail: str) -> Invalid:
    errors = FieldErrors()
    errors.invalid(path, value, detail)
    kind = str(review["kind"])
    resource = Resource(_AUTHORIZATION, "v1", kind, f"{kind.lower()}s", namespaced=False)
    return invalid_object(resource, review, errors.causes)


def _action(review: Object) -> Action:
    spec: Object = review.get("spec") or {}
    resource: Object | None = spec.get("resourceAttributes")
    path: Object | None = spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        raise _invalid(
            review,
            "spec.resourceAttributes" if resource is None else "spec.nonResourceAttributes",
            path,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            if resource is None
            else "cannot be specified in combination with resourceAttributes",
        )
    if path is not None:
        return Action(str(path.get("verb") or ""), path=str(path.get("path") or ""))
    attributes = resource or {}
    namespace = str(attributes.get("namespace") or "")
    if review["kind"] == "LocalSubjectAccessReview":
        metadata: Object = review.get("metadata") or {}
        own = metadata.get("namespace")
        if own and namespace != own:
            raise _invalid(
                review,
                "spec.resourceAttributes.namespace",
                namespace,
                "must match metadata.namespace",
            )
    return Action(
        verb=str(attributes.get("verb") or ""),
        group=str(attributes.get("group") or ""),
        resource=str(attributes.get("resource") or ""),
        subresource=str(attributes.get("subresource") or ""),
        namespace=namespace,
        name=str(attributes.get("name") or ""),
    )


def _resource_rules(rules: Iterable[Rule]) -> Iterable[dict[str, Any]]:
    for rule in rules:
        if rule.resources:
            entry = {
                "verbs": sorted(rule.verbs),
                "apiGroups": sorted(rule.api_groups),
                "resources": sorted(rule.resources),
            }
            if rule.resource_names:
                entry["resourceNames"] = sorted(rule.resource_names)
            yield entry


def _path_rules(rules: Iterable[Rule]) -> Iterable[dict[str, Any]]:
    for rule in rules:
        if rule.non_resource_urls:
            yield {"verbs": sorted(rule.verbs), "nonResourceURLs": list(rule.non_resource_urls)}


def _user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {name: list(values) for name, values in user.extra.items()}
    return info
