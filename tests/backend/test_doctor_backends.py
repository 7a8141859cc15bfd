from __future__ import annotations

from typing import Any

import pytest

from backend.doctor import Check
from backend.doctor_backends import (
    Probe,
    check_backends,
    check_label_lists,
    check_loopback_guard,
    check_model_version,
    check_service,
    check_webhooks,
    is_loopback,
)
from backend.label_config import parse_label_config
from tests.backend.messages import CONFIG

URL = "http://wordmask:9090"
OURS = Probe(status={"ready": True, "model_version": "v2", "recent_failures": []})
OTHER = Probe()


def make_backend(**fields: Any) -> dict[str, Any]:
    return {"url": URL, "title": "Wordmask", "state": "CO", "is_interactive": True, "model_version": "v2", "error_message": None} | fields


def bad(checks: list[Check]) -> dict[str, str]:
    """Status by name of all checks that are not fine."""
    assert all(check.status == "ok" or check.remedy for check in checks)
    return {check.name: check.status for check in checks if check.status != "ok"}


@pytest.mark.parametrize(
    ("backends", "probes", "expected"),
    [
        pytest.param([make_backend()], [OURS], {}, id="connected"),
        pytest.param([], [], {"backend": "fail"}, id="none"),
        pytest.param([make_backend()], [OTHER], {"backend": "fail"}, id="another kind of backend"),
        pytest.param([make_backend(url="http://other"), make_backend()], [OTHER, OURS], {"backend": "warn"}, id="second in the list"),
        pytest.param([make_backend(is_interactive=False)], [OURS], {"interactive preannotations": "warn"}, id="not interactive"),
        pytest.param([make_backend(state="ER")], [OURS], {"backend state": "fail"}, id="in error"),
        pytest.param(
            [make_backend(state="DI")],
            [Probe("no answer")],
            {"backend": "fail", "backend state": "fail", "backend from here": "fail"},
            id="not running",
        ),
        pytest.param(
            [make_backend()], [Probe("no answer")], {"backend": "fail", "backend from here": "warn"}, id="reachable for Label Studio only"
        ),
    ],
)
def test_backends_are_judged(backends: list[dict[str, Any]], probes: list[Probe], expected: dict[str, str]) -> None:
    assert bad(check_backends(backends, probes)) == expected


def test_error_of_label_studio_is_passed_on() -> None:
    checks = check_backends([make_backend(state="ER", error_message="setup took too long")], [OURS])
    assert any("in error: setup took too long" in check.message for check in checks)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"ready": True, "model_version": "v2"}, [("service", "ok")], id="ready"),
        pytest.param({"ready": False}, [("service", "warn")], id="loading"),
        pytest.param({"ready": False, "error": "no weights"}, [("service", "fail")], id="failed to load"),
        pytest.param(
            {
                "ready": True,
                "recent_failures": [
                    {"project": "1.99", "task_id": 3, "reason": "401", "at": "now"},
                    {"project": "12.99", "task_id": 4, "reason": "404", "at": "now"},
                ],
            },
            [("service", "ok"), ("recent failure", "warn")],
            id="failures of this project only",
        ),
    ],
)
def test_service_tells_how_it_is(status: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(check.name, check.status) for check in check_service(status, 1)] == expected


def hook(url: str = URL + "/webhook", **fields: Any) -> dict[str, Any]:
    return {"url": url, "is_active": True, "headers": {}} | fields


@pytest.mark.parametrize(
    ("model", "status", "expected"),
    [
        pytest.param("sam-mi", {"label_lists": True}, [], id="served"),
        pytest.param("sam-mi", {"label_lists": False}, [("label lists", "fail")], id="a model without lists"),
        pytest.param("sam-mi", {"label_lists": None}, [], id="still loading"),
        pytest.param("ssp-sam", {"label_lists": False}, [], id="not asked for"),
    ],
)
def test_a_config_that_insists_on_lists_needs_a_model_that_takes_them(
    model: str, status: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    plan = parse_label_config(CONFIG.replace('name="brush"', f'name="brush" model="{model}"'))
    assert [(check.name, check.status) for check in check_label_lists(status, plan)] == expected


@pytest.mark.parametrize(
    ("hooks", "wants_secret", "status", "says"),
    [
        pytest.param([hook()], False, "ok", "/webhook", id="one"),
        pytest.param([], False, "warn", "SSRF_PROTECTION_ENABLED=false", id="none"),
        pytest.param([hook(), hook(URL + "/webhook/")], False, "warn", "several times", id="twice"),
        pytest.param([hook(is_active=False)], False, "warn", "switched off", id="switched off"),
        pytest.param([hook()], True, "fail", "no header X-Secret", id="without the secret"),
        pytest.param([hook(headers={"x-secret": "s"})], True, "ok", "/webhook", id="with the secret"),
        pytest.param([hook(), hook("http://gone:9/webhook")], False, "warn", "left over from removed backends: http://gone", id="orphan"),
        pytest.param([hook(), hook("http://chat/hooks/7")], False, "ok", "/webhook", id="one of somebody else"),
    ],
)
def test_webhooks_are_judged(hooks: list[dict[str, Any]], wants_secret: bool, status: str, says: str) -> None:
    check = check_webhooks(hooks, [make_backend()], URL, wants_secret, "X-Secret")
    assert check.status == status
    assert says in f"{check.message} {check.remedy}"


@pytest.mark.parametrize(
    ("project", "stored", "status", "says"),
    [
        pytest.param({"model_version": "Wordmask"}, [], "ok", "the backend 'Wordmask' predicts (v2)", id="live backend"),
        pytest.param({"model_version": ""}, [], "ok", "serves v2", id="nothing chosen"),
        pytest.param({"model_version": "v2", "sampling": "Uncertainty sampling"}, ["v2"], "ok", "see v2", id="sampled by score"),
        pytest.param({"model_version": "Wordmask", "sampling": "Uncertainty sampling"}, [], "warn", "at random", id="sampled at random"),
        pytest.param({"model_version": "v1"}, ["v1", "v2"], "warn", "'v1', the backend serves 'v2'", id="older version"),
        pytest.param({"model_version": "v2", "show_collab_predictions": False}, ["v2"], "warn", "not shown", id="hidden"),
    ],
)
def test_shown_version_is_judged(project: dict[str, Any], stored: list[str], status: str, says: str) -> None:
    check = check_model_version(project, make_backend(), stored)
    assert check.status == status
    assert says in check.message


def test_refused_loopback_names_the_settings_of_label_studio() -> None:
    assert check_loopback_guard("http://127.0.0.1:9090", False).status == "ok"
    refused = check_loopback_guard("http://127.0.0.1:9090", True)
    assert (refused.status, "ML_BLOCK_LOCAL_IP=false" in refused.remedy) == ("fail", True)


@pytest.mark.parametrize(
    ("url", "expected"), [("http://127.0.0.1:9090", True), ("http://localhost", True), ("http://wordmask:9090", False)]
)
def test_loopback_addresses_are_known(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
