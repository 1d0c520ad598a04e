"""Objects that tests of the API make."""

from __future__ import annotations


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
