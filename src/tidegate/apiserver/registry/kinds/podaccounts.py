"""A new pod and its service account, as by Kubernetes' admission plugin ServiceAccount.

The account must be there, its token is a volume of the pod, its `imagePullSecrets` are the pod's.
"""

from __future__ import annotations

from tidegate.apiserver.refusals import forbidden
from tidegate.apiserver.registry.metadata import generate_name
from tidegate.apiserver.registry.spec import ClusterView
from tidegate.apiserver.values import objects
from tidegate.kube.objects import Key, Object, name_of, namespace_of, thaw
from tidegate.kube.resources import PODS, SERVICE_ACCOUNTS

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_ROOT_CA_CONFIG_MAP = "kube-root-ca.crt"
_DEFAULT_ACCOUNT = "default"
_VOLUME_PREFIX = "kube-api-access-"
# An hour, and seven seconds by which Kubernetes tells its own request from others.
_TOKEN_SECONDS = 3607
_FILE_MODE = 0o644


def give_account(pod: Object, view: ClusterView) -> None:
    """Complete a new pod, in place.

    Raises:
        Forbidden: there is no such account. The default one may be on its way, for it is made when
            its namespace is.
    """
    name, namespace = str(pod["spec"]["serviceAccountName"]), namespace_of(pod)
    account = view.find(SERVICE_ACCOUNTS, Key(namespace, name))
    if account is None and name != _DEFAULT_ACCOUNT:
        raise forbidden(
            PODS,
            name_of(pod),
            f"error looking up service account {namespace}/{name}:"
            f' serviceaccount "{name}" not found',
        )
    account, spec = account or {}, pod["spec"]
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = thaw(account["imagePullSecrets"])
    if _mounts_token(spec, account):
        _mount_token(spec)


def _mounts_token(spec: Object, account: Object) -> bool:
    for asked in (spec, account):
        if asked.get("automountServiceAccountToken") is not None:
            return bool(asked["automountServiceAccountToken"])
    return True


def _mount_token(spec: Object) -> None:
    containers = [*objects(spec.get("initContainers")), *objects(spec.get("containers"))]
    without = [container for container in containers if not _mounts_at_path(container)]
    if not without:
        return
    name = _token_volume(spec)
    for container in without:
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
        container["volumeMounts"] = [*objects(container.get("volumeMounts")), mount]


def _mounts_at_path(container: Object) -> bool:
    return any(
        item.get("mountPath") == _TOKEN_PATH for item in objects(container.get("volumeMounts"))
    )


def _token_volume(spec: Object) -> str:
    volumes = objects(spec.get("volumes"))
    for volume in volumes:
        if "projected" in volume and str(volume["name"]).startswith(_VOLUME_PREFIX):
            return str(volume["name"])
    name = generate_name(_VOLUME_PREFIX)
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {
            "configMap": {
                "name": _ROOT_CA_CONFIG_MAP,
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }
        },
        {
            "downwardAPI": {
                "items": [
                    {
                        "path": "namespace",
                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    }
                ]
            }
        },
    ]
    projected = {"sources": sources, "defaultMode": _FILE_MODE}
    spec["volumes"] = [*volumes, {"name": name, "projected": projected}]
    return name
