"""Durations, settings and the wording of complaints."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apis.config_sections import Domain
from tidegate.apis.durations import format_duration, parse_duration
from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.fields import items, part
from tidegate.apis.names import (
    dns1035_problems,
    is_dns1123_label,
    qualified_name_problems,
    subdomain_problems,
)
from tidegate.apis.settings import SettingError, Settings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", Fraction(0)),
        ("90s", Fraction(90)),
        ("1h30m", Fraction(5400)),
        ("1.5s", Fraction(3, 2)),
        ("100ms", Fraction(1, 10)),
        ("-2m", Fraction(-120)),
        (".5h", Fraction(1800)),
        ("3µs", Fraction(3, 10**6)),
    ],
)
def test_durations_are_read_exactly(text: str, seconds: Fraction) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "1s2", "1d", "--1s", "1h-2m", ".", "1s\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("name", ["", "a\n", "a\nb", "a_b\n", "-a", "a/b"])
def test_what_is_no_name_of_any_kind(name: str) -> None:
    assert dns1035_problems(name)
    assert subdomain_problems(name)
    assert qualified_name_problems(name)
    assert not is_dns1123_label(name)


@given(st.integers(0, 10**6))
def test_durations_survive_being_written(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert math.isfinite(seconds)


def test_equal_complaints_are_joined_and_sorted() -> None:
    errors = FieldErrors()
    spec = errors.at("spec")
    spec.at("b", 1).missing("name")
    spec.at("a").missing("name")
    spec.at("a").invalid("x", "size", "too small")
    assert str(errors) == (
        "invalid value: x: spec.a.size\ntoo small\nmissing field(s): spec.a.name, spec.b[1].name"
    )
    assert [cause.field for cause in errors.causes()] == [
        "spec.a.size",
        "spec.a.name",
        "spec.b[1].name",
    ]


def test_no_complaint_is_none() -> None:
    assert not FieldErrors()


def test_fields_may_be_missing_at_any_level() -> None:
    obj = {"a": {"b": None, "c": [{"d": 1}]}}
    assert part(obj, "a", "b") == {}
    assert part(obj, "x", "y") == {}
    assert items(obj, "a", "c") == [{"d": 1}]
    assert items(obj, "x", "y") == []


def test_settings_are_read_from_config_maps() -> None:
    settings = Settings()
    for name, data in {
        "config-defaults": {"revision-timeout-seconds": "60", "enable-service-links": "true"},
        "config-features": {"tag-header-based-routing": "Allowed"},
        "config-gc": {
            "retain-since-create-time": "disabled",
            "max-non-active-revisions": "disabled",
            "min-non-active-revisions": "3",
        },
        "config-network": {"rollout-duration": "120", "_example": "nonsense"},
        "config-deployment": {"progress-deadline": "1200s"},
        "config-domain": {"example.org": "selector:\n  tier: gold\n", "example.net": ""},
        "config-logging": {"anything": "goes"},
    }.items():
        settings = settings.with_config_map(name, data)
    assert settings.defaults.revision_timeout_seconds == 60
    assert settings.defaults.enable_service_links is True
    assert settings.features.is_allowed("tag-header-based-routing")
    assert not settings.features.is_enabled("tag-header-based-routing")
    assert settings.features.is_enabled("multi-container")
    assert settings.gc.retain_since_create_time is None
    assert settings.gc.max_non_active_revisions is None
    assert settings.gc.min_non_active_revisions == 3
    assert settings.network.rollout_duration == 120
    assert settings.deployment.progress_deadline == 1200
    assert settings.domains == (
        Domain("example.org", {"tier": "gold"}),
        Domain("example.net"),
    )


@pytest.mark.parametrize(
    ("name", "data", "key"),
    [
        ("config-defaults", {"container-concurrency": "many"}, "container-concurrency"),
        ("config-features", {"multi-container": "maybe"}, "multi-container"),
        ("config-gc", {"retain-since-create-time": "long"}, "retain-since-create-time"),
        ("config-domain", {"example.org": "- a"}, "example.org"),
        ("config-domain", {"example.org": "selector: 5"}, "example.org"),
        ("config-domain", {"example.org": "selector: {tier: 1}"}, "example.org"),
        ("config-domain", {"example.org": "2001-99-99"}, "example.org"),
        ("config-domain", {"example.org": "[" * 5000}, "example.org"),
        ("config-network", {"domain-template": "{{if .X}}a{{end}}"}, "domain-template"),
        ("config-network", {"http-protocol": "Maybe"}, "httpProtocol"),
    ],
)
def test_bad_settings_are_named(name: str, data: dict[str, str], key: str) -> None:
    with pytest.raises(SettingError, match=f"{name}: .*{key}"):
        Settings().with_config_map(name, data)


def test_templates_may_look_into_annotations() -> None:
    text = '{{.Name}}.{{index .Annotations "sub"}}.{{ .Domain }}'
    settings = Settings().with_config_map("config-network", {"domain-template": text})
    assert settings.network.domain_template == text


def test_removing_a_key_brings_its_default_back() -> None:
    changed = Settings().with_config_map("config-defaults", {"container-concurrency": "4"})
    assert changed.defaults.container_concurrency == 4
    assert changed.with_config_map("config-defaults", {}) == Settings()
