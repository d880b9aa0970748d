"""What the files of deploy/monitoring say: panels, rules, and the metrics and labels they name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from conftest import MONITORING

SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_info")


def dashboard() -> dict[str, Any]:
    return json.loads((MONITORING / "dashboard.json").read_text())


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def targets() -> Iterator[tuple[str, str]]:
    """The panel's title, and an expression of it as Grafana asks Prometheus."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*")
            # Grafana has four scrapes at least; here it is longer than the whole suite takes.
            yield panel["title"], expression.replace("$__rate_interval", "5m")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def unit_tests() -> list[dict[str, Any]]:
    return yaml.safe_load((MONITORING / "alerts.test.yaml").read_text())["tests"]


def named(expression: str) -> set[str]:
    """The metrics of ours that an expression names, as families."""
    names = re.findall(r"(?<![:\w])(?:demand|process)_\w+", expression)
    return {family(name) for name in names}


def family(series: str) -> str:
    for suffix in SUFFIXES:
        series = series.removesuffix(suffix)
    return series


def series_of(alert: dict[str, Any]) -> set[str]:
    """The series it looks at, by way of recordings too."""
    expressions = [alert["expr"]]
    expressions += [
        rule["expr"] for rule in rules() if "record" in rule and rule["record"] in alert["expr"]
    ]
    ours = r"(?<![:\w])(?:(?:demand|process)_\w+|up\b)"
    return {name for text in expressions for name in re.findall(ours, text)}


def matched(expression: str) -> Iterator[tuple[str, str]]:
    """Labels and the values that an expression asks for by name."""
    for label, value in re.findall(r'(\w+)\s*(?:=|!=|=~|!~)\s*"([^"]*)"', expression):
        for alternative in value.split("|"):
            if re.fullmatch(r"\w+", alternative):
                yield label, alternative
