"""Pod, Deployment and ReplicaSet."""

from __future__ import annotations

from tidegate.apis.digests import pin_images
from tidegate.apis.serving import REVISIONS
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import not_negative, placed, supported
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.podaccounts import give_account
from tidegate.apiserver.registry.kinds.poddefaults import default_pod, default_template
from tidegate.apiserver.registry.kinds.podpriority import give_priority, keep_priority
from tidegate.apiserver.registry.kinds.podvalidation import validate_pod, validate_template
from tidegate.apiserver.registry.names import label_value_problem, qualified_problem
from tidegate.apiserver.registry.spec import ClusterView, ScaleSpec
from tidegate.apiserver.values import ensure, mapping, objects, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tidegate.kube.selectors import selector_from_spec

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}
_ZERO = (0, "0%")
_NO_MATCH = "`selector` does not match template `labels`"


def _default_deployment(obj: Object) -> None:
    spec = ensure(obj, "spec")
    for name, value in (
        ("replicas", 1),
        ("revisionHistoryLimit", 10),
        ("progressDeadlineSeconds", 600),
    ):
        spec.setdefault(name, value)
    strategy = ensure(spec, "strategy")
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = ensure(strategy, "rollingUpdate")
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    default_template(ensure(spec, "template"))
    ensure(obj, "status")


def _default_replica_set(obj: Object) -> None:
    spec = ensure(obj, "spec")
    spec.setdefault("replicas", 1)
    default_template(ensure(spec, "template"))
    ensure(obj, "status").setdefault("replicas", 0)


def _validate_deployment(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    _validate_template_owner(obj, old, errors)
    for name in ("revisionHistoryLimit", "progressDeadlineSeconds"):
        not_negative(spec, name, "spec", errors)
    if spec["progressDeadlineSeconds"] <= int(spec.get("minReadySeconds") or 0):
        errors.invalid(
            "spec.progressDeadlineSeconds",
            spec["progressDeadlineSeconds"],
            "must be greater than minReadySeconds",
        )
    _validate_strategy(section(spec, "strategy"), errors)


def _validate_strategy(strategy: Object, errors: FieldErrors) -> None:
    supported(strategy, "type", ("Recreate", "RollingUpdate"), "spec.strategy", errors)
    rolling = section(strategy, "rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling:
            errors.forbidden(
                "spec.strategy.rollingUpdate",
                "may not be specified when strategy `type` is 'Recreate'",
            )
        return
    path = "spec.strategy.rollingUpdate"
    for name in ("maxSurge", "maxUnavailable"):
        value = rolling.get(name)
        if isinstance(value, str) and not (value.endswith("%") and value[:-1].isdigit()):
            errors.invalid(
                f"{path}.{name}",
                value,
                "a valid percent string must be a numeric string followed by an ending '%' (e.g."
                " '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
        elif isinstance(value, int):
            not_negative(rolling, name, path, errors)
        elif name == "maxUnavailable" and value and int(value[:-1]) > 100:
            errors.invalid(f"{path}.{name}", value, "must not be greater than 100%")
    if rolling.get("maxSurge") in _ZERO and rolling.get("maxUnavailable") in _ZERO:
        errors.invalid(
            f"{path}.maxUnavailable",
            rolling["maxUnavailable"],
            "may not be 0 when `maxSurge` is 0",
        )


def _validate_template_owner(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    not_negative(spec, "replicas", "spec", errors)
    not_negative(spec, "minReadySeconds", "spec", errors)
    template = section(spec, "template")
    validate_template(template, "spec.template", errors)
    restart = section(template, "spec").get("restartPolicy")
    if restart in ("OnFailure", "Never"):
        errors.not_supported("spec.template.spec.restartPolicy", restart, ("Always",))
    if section(template, "spec").get("activeDeadlineSeconds") is not None:
        errors.forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        )
    labels = mapping(section(template, "metadata").get("labels"))
    if not _selects(spec, labels, errors):
        errors.invalid("spec.template.metadata.labels", labels, _NO_MATCH)
    if old is not None:
        errors.immutable("spec.selector", section(old, "spec", "selector"), spec.get("selector"))


def _selects(spec: Object, labels: Object, errors: FieldErrors) -> bool:
    """Whether the selector finds what has these labels, or is reported as none itself."""
    if "selector" not in spec:
        errors.required("spec.selector")
        return False
    if not _validate_selector(section(spec, "selector"), "spec.selector", errors):
        return True
    return selector_from_spec(spec["selector"]).matches(labels)


def _validate_selector(selector: Object, path: str, errors: FieldErrors) -> bool:
    """A LabelSelector that must select something; tells whether it is valid."""
    before = len(errors.causes)
    labels = mapping(selector.get("matchLabels"))
    expressions = objects(selector.get("matchExpressions"))
    if not labels and not expressions:
        errors.invalid(path, selector, "empty selector is invalid for deployment")
    for key, value in labels.items():
        problem = qualified_problem(key) or label_value_problem(str(value))
        if problem:
            errors.invalid(f"{path}.matchLabels", f"{key}={value}", problem)
    for where, expression in placed(expressions, f"{path}.matchExpressions"):
        if expression.get("operator") not in _OPERATORS:
            errors.invalid(
                f"{where}.operator", expression.get("operator"), "not a valid selector operator"
            )
        elif expression["operator"] in ("In", "NotIn") and not expression.get("values"):
            errors.required(
                f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"
            )
        if not expression.get("key"):
            errors.required(f"{where}.key")
    return len(errors.causes) == before


def _prepare_pod(pod: Object, old: Object | None, view: ClusterView, errors: FieldErrors) -> None:
    del errors
    if old is not None:
        keep_priority(pod, old)
        return
    give_account(pod, view)
    give_priority(pod, view)
    pin_images(pod, lambda key: view.find(REVISIONS, key))
    if pod["spec"].get("schedulingGates"):
        ensure(pod, "status")["conditions"] = [dict(_GATED)]


WORKLOAD_KINDS = (
    builtin(
        PODS,
        "core",
        default=default_pod,
        validate=validate_pod,
        prepare=_prepare_pod,
        status_subresource=True,
        kept_by_status=("ownerReferences",),
        subresources=(
            ("binding", "Binding", ("create",)),
            ("eviction", "Eviction", ("create",)),
            ("log", "Pod", ("get",)),
            ("attach", "PodAttachOptions", ("create", "get")),
            ("exec", "PodExecOptions", ("create", "get")),
            ("portforward", "PodPortForwardOptions", ("create", "get")),
        ),
        selectable_fields=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ),
    ),
    builtin(
        DEPLOYMENTS,
        "apps",
        default=_default_deployment,
        validate=_validate_deployment,
        status_subresource=True,
        kept_by_status=("labels",),
        generation=True,
        scale=ScaleSpec(),
    ),
    builtin(
        REPLICA_SETS,
        "apps",
        default=_default_replica_set,
        validate=_validate_template_owner,
        status_subresource=True,
        generation=True,
        scale=ScaleSpec(),
        selectable_fields=("status.replicas",),
    ),
)
