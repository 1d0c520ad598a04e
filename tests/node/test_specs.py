"""The specs that a pod may ask for, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.errors import UserError
from tidegate.node.specs import USE_SPECS_ANNOTATION, Spec, SpecError, choose, load_table

SEED = "ecs.gn5-c4g1.xlarge,ecs.gn5i-c8g1.2xlarge,ecs.gn5-c8g1.2xlarge"
TABLE = load_table()


def wish(text: str) -> dict[str, str]:
    return {USE_SPECS_ANNOTATION: text}


def test_the_seeds_specs_are_taken_in_order_by_stock() -> None:
    choices = TABLE.choices(wish(SEED))
    assert [spec.name for spec in choices] == SEED.split(",")
    first, second, third = choices
    assert choose(choices, {}) is first
    assert choose(choices, {first.name: first.stock}) is second
    assert choose(choices, {first.name: first.stock, second.name: second.stock}) is third
    assert choose(choices, {spec.name: spec.stock for spec in choices}) is None


def test_the_generic_form_is_priced_by_its_size() -> None:
    [spec] = TABLE.choices(wish("4-8Gi"))
    assert (spec.vcpu, spec.memory_gib, spec.gpus) == (4, 8, 0)
    assert spec.price == pytest.approx(4 * 0.02772 + 8 * 0.003456)


def test_without_a_wish_there_is_a_default() -> None:
    assert [spec.name for spec in TABLE.choices({})] == ["2-4Gi"]
    assert [spec.name for spec in TABLE.choices(wish("  "))] == ["2-4Gi"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ecs.nosuch", "unknown spec 'ecs.nosuch'"),
        ("2-4Gi,,4-8Gi", "unknown spec ''"),
        ("3-4Gi", "vCPU must be one of 0.25, 0.5, 1, 2, 4"),
        ("2-3Gi", "with 2 vCPU the memory must be one of 1, 2, 4, 8, 16 Gi"),
        (",".join(["2-4Gi"] * 6), "6 specs, at most 5"),
    ],
)
def test_a_wish_that_cannot_be_is_named(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        TABLE.choices(wish(text))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.lists(st.integers(0, 3)))
def test_the_choice_is_the_first_in_stock(stock: list[int], used: list[int]) -> None:
    choices = tuple(Spec(f"s{i}", 1, 1, 0, 1.0, n) for i, n in enumerate(stock))
    in_use = {f"s{i}": n for i, n in enumerate(used)}
    free = [spec for spec in choices if in_use.get(spec.name, 0) < spec.stock]
    assert choose(choices, in_use) == (free[0] if free else None)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "specs.toml"
    with pytest.raises(UserError, match=r"specs\.toml cannot be read"):
        load_table(path)
    path.write_text('currency = "USD"\ndefault = "2-4Gi"\nper_hour = { vcpu = -1 }\ntypes = {}')
    with pytest.raises(UserError, match=r"per_hour\.vcpu"):
        load_table(path)
