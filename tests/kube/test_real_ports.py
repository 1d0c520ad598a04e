"""The annotation in which the node says which real port stands for a pod's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.real_ports import PORTS_ANNOTATION, ports_annotation, real_ports_of


@given(st.dictionaries(st.integers(1, 65535), st.integers(1, 65535)))
def test_the_annotation_comes_back_as_it_went(ports: dict[int, int]) -> None:
    annotations = {PORTS_ANNOTATION: ports_annotation(ports)}
    assert real_ports_of({"metadata": {"annotations": annotations}}) == ports


@pytest.mark.parametrize("text", ["", "no", "7", "[1]", '{"a": 1}', '{"x": "y"}', '{"1": null}'])
def test_a_damaged_annotation_means_no_ports(text: str) -> None:
    assert real_ports_of({"metadata": {"annotations": {PORTS_ANNOTATION: text}}}) == {}
