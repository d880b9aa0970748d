"""Dashboard and alerts with a Prometheus that watches services at work."""

import math
import re
import subprocess

import pytest

import documents
from conftest import PATIENCE, ROOT, Prometheus, Service, until

SHOWS_NOTHING: dict[str, str] = {}
"""Panels that show nothing after demands have completed and failed, each with why."""

METRIC_ROW = re.compile(r"\| `(demand|process)_\w+` \|")

UNUSED: dict[str, str] = {}
"""Metrics that the dashboard does not show, each with why."""


@pytest.fixture(scope="session")
def scrapes(prometheus: Prometheus, local: Service, on_batch: Service, refused: str) -> list[str]:
    """What the services tell, after demands ran, and where something is wrong."""
    return [local.metrics(), on_batch.metrics(), refused]


@pytest.fixture(scope="session")
def families(scrapes: list[str]) -> set[str]:
    return {name for scrape in scrapes for name, _ in types(scrape)}


def types(scrape: str) -> list[tuple[str, str]]:
    """Names and types of the metric families."""
    return re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "expression"),
    [pytest.param(*target, id=f"{target[0]} {n}") for n, target in enumerate(documents.targets())],
)
def test_each_panel_shows_something(prometheus: Prometheus, title: str, expression: str) -> None:
    def shown() -> bool | None:
        values = [float(series["value"][1]) for series in prometheus.query(expression)]
        # NaN is a gap in Grafana.
        return any(math.isfinite(value) for value in values) or None

    if title in SHOWS_NOTHING:
        assert not shown(), SHOWS_NOTHING[title]
    else:
        until(shown, expression)


def test_every_rule_is_evaluated_and_no_alert_fires_on_healthy_services(
    prometheus: Prometheus,
) -> None:
    def evaluated() -> list[dict] | None:
        (group,) = prometheus.get("rules")["groups"]
        rules = group["rules"]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = until(evaluated, "the rules to be evaluated")
    assert len(rules) == len(documents.rules())
    for rule in rules:
        assert rule["health"] == "ok", rule
        assert rule.get("state", "inactive") == "inactive", rule
    for rule in documents.rules():
        prometheus.query(rule["expr"])


def test_the_failures_of_new_services_are_recorded(prometheus: Prometheus) -> None:
    (recording,) = [rule for rule in documents.rules() if "record" in rule]
    failed = f'{recording["record"]}{{reason="COMMAND_FAILED"}}'
    until(lambda: len(prometheus.query(failed)) == 2 or None, failed)


def test_prometheus_takes_the_scrape_for_openmetrics(prometheus: Prometheus) -> None:
    (units,) = [
        told["unit"]
        for told in prometheus.get("metadata", metric="demand_reconcile_lag_seconds")[
            "demand_reconcile_lag_seconds"
        ]
    ]
    assert units == "seconds", "the older format has no units"


def test_expired_credentials_show_as_the_alerts_look_for_them(refused: str) -> None:
    for series in [
        'demand_reconcile_failures_total{loop="observing"}',
        'demand_batch_requests_total{operation="DescribeJobs",outcome="refused"}',
    ]:
        assert series in refused


def test_every_metric_named_is_there(families: set[str]) -> None:
    for rule in documents.rules():
        assert documents.named(rule["expr"]) <= families, rule["expr"]
    for title, expression in documents.targets():
        assert documents.named(expression) <= families, title


def test_the_dashboard_shows_every_metric(families: set[str]) -> None:
    shown = set().union(*(documents.named(expression) for _, expression in documents.targets()))
    assert families - shown == UNUSED.keys()


def test_the_handbook_tells_every_metric(scrapes: list[str]) -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if METRIC_ROW.match(line)]
    told = {
        documents.family(name.strip(" `")): (unit.strip(), labels)
        for _, name, unit, labels, *_ in rows
    }
    there = {name: kind for scrape in scrapes for name, kind in types(scrape)}
    assert told.keys() == there.keys()
    for name, kind in there.items():
        series = [
            line
            for scrape in scrapes
            for line in scrape.splitlines()
            if re.match(rf"{name}(_count|_total|_info)?[ {{]", line)
        ]
        labels = {label for line in series for label in re.findall(r'(\w+)="', line)}
        unit, documented = told[name]
        assert set(re.findall(r"`(\w+)`", documented)) == labels, name
        assert name.endswith("_seconds") == unit.startswith("seconds"), name
        assert ("histogram" in unit) == (kind == "histogram"), name


@pytest.mark.parametrize("which", [0, 1, 2], ids=["local", "on_batch", "refused"])
def test_the_metrics_follow_the_conventions_of_prometheus(scrapes: list[str], which: int) -> None:
    """promtool knows the older text format only, in which a counter is called as its series is."""
    kinds, lines = dict(types(scrapes[which])), []
    for line in scrapes[which].splitlines():
        if line.startswith(("# UNIT", "# EOF")):
            continue
        if line.startswith("#"):
            what, name, words = line.removeprefix("# ").split(" ", 2)
            suffix = {"counter": "_total", "info": "_info"}.get(kinds[name], "")
            line = f"# {what} {name}{suffix} {'gauge' if words == 'info' else words}"
        lines.append(line)
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
