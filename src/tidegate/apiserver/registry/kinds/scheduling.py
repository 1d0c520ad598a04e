"""What makes the fields valid by which pods choose nodes, in Kubernetes' words.

There is one node here; what is wrong is refused all the same, before a cluster refuses it.
"""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import form, placed, supported, validate_text
from tidegate.apiserver.registry.names import label_value_problem, qualified_problem
from tidegate.apiserver.values import objects, section, strings
from tidegate.kube.objects import Object

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_NO_OPERATOR = "not a valid selector operator"
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def validate_scheduling(spec: Object, path: str, errors: FieldErrors) -> None:
    """Tolerations, affinity, spreading and scheduling gates of a pod spec."""
    for where, toleration in placed(objects(spec.get("tolerations")), f"{path}.tolerations"):
        _validate_toleration(toleration, where, errors)
    affinity = section(spec, "affinity")
    _validate_node_affinity(
        section(affinity, "nodeAffinity"), f"{path}.affinity.nodeAffinity", errors
    )
    for kind in ("podAffinity", "podAntiAffinity"):
        _validate_pod_affinity(section(affinity, kind), f"{path}.affinity.{kind}", errors)
    _validate_spreading(spec, f"{path}.topologySpreadConstraints", errors)
    _validate_gates(spec, f"{path}.schedulingGates", errors)


def validate_taint(taint: Object, path: str, errors: FieldErrors) -> None:
    """A taint of a node."""
    validate_text(taint.get("key") or "", qualified_problem, f"{path}.key", errors)
    form(taint, "value", label_value_problem, path, errors)
    if not taint.get("effect"):
        errors.required(f"{path}.effect")
    else:
        supported(taint, "effect", _EFFECTS, path, errors)


def _validate_toleration(toleration: Object, path: str, errors: FieldErrors) -> None:
    form(toleration, "key", qualified_problem, path, errors)
    operator, value = toleration.get("operator") or "", toleration.get("value")
    where = f"{path}.operator"
    if not toleration.get("key") and operator != "Exists":
        errors.invalid(
            where,
            operator,
            "operator must be Exists when `key` is empty, which means"
            ' "match all values and all keys"',
        )
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        errors.invalid(
            f"{path}.effect",
            toleration.get("effect") or "",
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        )
    if operator == "Exists" and value:
        errors.invalid(where, toleration, "value must be empty when `operator` is 'Exists'")
    elif operator in ("", "Equal"):
        problem = label_value_problem(str(value or ""))
        if problem:
            errors.invalid(where, value, problem)
    elif operator != "Exists":
        errors.not_supported(where, operator, ("Equal", "Exists"))
    if toleration.get("effect"):
        supported(toleration, "effect", _EFFECTS, path, errors)


def _validate_node_affinity(affinity: Object, path: str, errors: FieldErrors) -> None:
    if _REQUIRED in affinity:
        where = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        terms = objects(section(affinity, _REQUIRED).get("nodeSelectorTerms"))
        if not terms:
            errors.required(where, "must have at least one node selector term")
        for at, term in placed(terms, where):
            _validate_node_term(term, at, errors)
    for where, preferred in placed(objects(affinity.get(_PREFERRED)), f"{path}.{_PREFERRED}"):
        _validate_weight(preferred, where, errors)
        _validate_node_term(section(preferred, "preference"), f"{where}.preference", errors)


def _validate_node_term(term: Object, path: str, errors: FieldErrors) -> None:
    for field, validate in (
        ("matchExpressions", _validate_label_requirement),
        ("matchFields", _validate_field_requirement),
    ):
        for where, requirement in placed(objects(term.get(field)), f"{path}.{field}"):
            validate(requirement, where, errors)


def _validate_label_requirement(requirement: Object, path: str, errors: FieldErrors) -> None:
    operator, values = requirement.get("operator"), strings(requirement.get("values"))
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            errors.required(f"{path}.values", detail)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.forbidden(f"{path}.values", detail)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.required(f"{path}.values", detail)
    else:
        errors.invalid(f"{path}.operator", operator, _NO_OPERATOR)
    validate_text(requirement.get("key") or "", qualified_problem, f"{path}.key", errors)


def _validate_field_requirement(requirement: Object, path: str, errors: FieldErrors) -> None:
    operator, values = requirement.get("operator"), strings(requirement.get("values"))
    if operator not in ("In", "NotIn"):
        errors.invalid(f"{path}.operator", operator, _NO_OPERATOR)
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.required(f"{path}.values", detail)
    if requirement.get("key") != "metadata.name":
        detail = "not a valid field selector key"
        errors.invalid(f"{path}.key", requirement.get("key"), detail)


def _validate_pod_affinity(affinity: Object, path: str, errors: FieldErrors) -> None:
    for where, term in placed(objects(affinity.get(_REQUIRED)), f"{path}.{_REQUIRED}"):
        _validate_pod_term(term, where, errors)
    for where, preferred in placed(objects(affinity.get(_PREFERRED)), f"{path}.{_PREFERRED}"):
        _validate_weight(preferred, where, errors)
        _validate_pod_term(
            section(preferred, "podAffinityTerm"), f"{where}.podAffinityTerm", errors
        )


def _validate_pod_term(term: Object, path: str, errors: FieldErrors) -> None:
    if not term.get("topologyKey"):
        errors.required(f"{path}.topologyKey", "can not be empty")
    form(term, "topologyKey", qualified_problem, path, errors)


def _validate_weight(preferred: Object, path: str, errors: FieldErrors) -> None:
    weight = int(preferred.get("weight") or 0)
    if not 1 <= weight <= 100:
        errors.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _validate_spreading(spec: Object, path: str, errors: FieldErrors) -> None:
    taken: set[tuple[str, str]] = set()
    for where, constraint in placed(objects(spec.get("topologySpreadConstraints")), path):
        skew, fewest = int(constraint.get("maxSkew") or 0), constraint.get("minDomains")
        topology, otherwise = constraint.get("topologyKey"), constraint.get("whenUnsatisfiable")
        if skew <= 0:
            errors.invalid(f"{where}.maxSkew", skew, "must be greater than zero")
        if not topology:
            errors.required(f"{where}.topologyKey", "can not be empty")
        form(constraint, "topologyKey", qualified_problem, where, errors)
        if otherwise not in _UNSATISFIABLE:
            errors.not_supported(f"{where}.whenUnsatisfiable", otherwise or "", _UNSATISFIABLE)
        if fewest is not None and fewest <= 0:
            errors.invalid(f"{where}.minDomains", fewest, "must be greater than 0")
        identity = (str(topology), str(otherwise))
        if identity in taken:
            errors.duplicate(where, f"{{{topology}, {otherwise}}}")
        taken.add(identity)


def _validate_gates(spec: Object, path: str, errors: FieldErrors) -> None:
    taken: set[str] = set()
    for where, gate in placed(objects(spec.get("schedulingGates")), path):
        name = str(gate.get("name") or "")
        problem = qualified_problem(name)
        if problem:
            errors.invalid(where, name, problem)
        elif name in taken:
            errors.duplicate(where, name)
        taken.add(name)
