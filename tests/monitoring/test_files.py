"""The files of deploy/monitoring by themselves: promtool's rules for them, and Grafana's."""

import itertools
import json
import pathlib
import re
import subprocess

import pytest
import yaml

import documents
from conftest import MONITORING, PATIENCE, ROOT, Service, Tokens, example


def promtool(*arguments: str) -> None:
    checked = subprocess.run(
        ["promtool", *arguments],
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_are_such() -> None:
    promtool("check", "rules", str(MONITORING / "alerts.yaml"))


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", str(MONITORING / "alerts.test.yaml"))


def test_the_scrape_configuration_is_such(tmp_path: pathlib.Path, tokens: Tokens) -> None:
    nowhere = Service("http://demands.example.org", "", "", "")
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump(example(tokens, nowhere)))
    promtool("check", "config", str(config))


@pytest.mark.parametrize("alert", documents.alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_has_a_test_that_it_fires_and_one_that_it_does_not(alert) -> None:
    looks_at = documents.series_of(alert)
    fires, silent = False, False
    for group in documents.unit_tests():
        given = {re.match(r"\w+", series["series"])[0] for series in group["input_series"]}
        for case in group["alert_rule_test"]:
            if case["alertname"] == alert["alert"]:
                fires = fires or bool(case["exp_alerts"])
                # Silence where there is nothing to look at would prove nothing.
                silent = silent or (not case["exp_alerts"] and bool(given & looks_at))
    assert fires and silent


@pytest.mark.parametrize("alert", documents.alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_tells_what_to_do(alert) -> None:
    assert alert["for"] != "0s"
    assert alert["labels"]["severity"] in ("critical", "warning")
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "$value" in annotations["description"] or alert["alert"] == "DemandServiceDown"
    assert "\n" not in annotations["description"]
    base, _ = annotations["runbook_url"].split("#")
    assert base == "{{ $externalLabels.runbooks }}deploy/README.md"


def test_each_alert_leads_to_a_runbook_that_is_there() -> None:
    wanted = {alert["annotations"]["runbook_url"].split("#")[1] for alert in documents.alerts()}
    missing = wanted - anchors()
    assert not missing


def test_the_handbook_tells_of_every_alert() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    table = text[text.index("### When an alert fires") :].split("\n#")[0]
    told = set(re.findall(r"`(Demand\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.M))))
    assert told == {alert["alert"] for alert in documents.alerts()}


def anchors() -> set[str]:
    """Those of the headings of deploy/README.md, as GitHub and its like make them."""
    text = (ROOT / "deploy" / "README.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_recording_is_used() -> None:
    recordings = [rule["record"] for rule in documents.rules() if "record" in rule]
    for name in recordings:
        assert any(name in alert["expr"] for alert in documents.alerts()), name


def test_the_values_of_labels_are_those_the_service_has() -> None:
    schemas = json.loads((ROOT / "openapi" / "openapi.json").read_text())["components"]["schemas"]
    sources = {
        "outcome": ["src/run/metrics.rs", "src/engine/aws_batch/metrics.rs"],
        "route": ["src/http/health.rs", "src/http/metrics.rs"],
    }
    expressions = [rule["expr"] for rule in documents.rules()]
    expressions += [expression for _, expression in documents.targets()]
    for expression in expressions:
        for label, value in documents.matched(expression):
            if label in ("phase", "reason", "status") and not value.isdigit():
                # The status of a demand, or that of a job.
                names = {"phase": ["Phase"], "reason": ["ReasonCode"]}
                named = names.get(label, ["Status", "StepStatus"])
                words = [word for name in named for word in schemas[name]["enum"]]
                assert value in words, (label, value)
            elif label in sources:
                texts = [(ROOT / source).read_text() for source in sources[label]]
                assert any(f'"{value}"' in text for text in texts), (label, value)


def test_panels_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in documents.dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_panels_do_not_overlap_and_stay_on_the_grid() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in documents.dashboard()["panels"]]
    for title, at in places:
        assert 0 <= at["x"] and at["x"] + at["w"] <= 24, title
    for (one, a), (other, b) in itertools.combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("panel", documents.panels(), ids=lambda panel: panel["title"])
def test_each_panel_explains_itself(panel) -> None:
    assert panel["type"] in ("stat", "timeseries"), "no plugin is needed"
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == source
    for target in panel["targets"]:
        assert target["datasource"] == source
        assert 'instance=~"$instance"' in target["expr"]
        assert target["legendFormat"]
    names = [target["refId"] for target in panel["targets"]]
    assert len(names) == len(set(names))


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = documents.dashboard()
    assert board["schemaVersion"] >= 39, "Grafana 11 and later"
    assert "id" not in board, "Grafana gives it one"
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert used <= variables.keys() | {"__rate_interval", "__all"}
