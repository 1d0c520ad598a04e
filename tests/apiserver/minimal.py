"""The least that the API takes of some kinds."""

from __future__ import annotations

POD_SPEC = {"containers": [{"name": "main", "image": "web:1"}]}


def meta(**more) -> dict:
    return {"name": "x", "namespace": "default", **more}


def pod(**spec) -> dict:
    return {"metadata": meta(), "spec": {**POD_SPEC, **spec}}


def deployment(template_spec=POD_SPEC, **spec) -> dict:
    return {
        "metadata": meta(),
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": template_spec},
            **spec,
        },
    }


def service(**spec) -> dict:
    return {"metadata": meta(), "spec": {"ports": [{"port": 80}], **spec}}


def container(**fields) -> list[dict]:
    return [{"name": "main", "image": "web:1", **fields}]


def job(name="pi", **spec):
    template = {
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "counter:v1"}],
        }
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template, **spec},
    }
