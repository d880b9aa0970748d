"""The runbooks of deploy/README.md, read: what each says there is to see, held to what was seen.

The table below "You see" has a row for each place to look at. Whatever is code in its second column
must be there, `…` standing for anything; metrics and PromQL are held to what /metrics told before
and after.
"""

import re

from lab import ROOT, Seen

TEXT = (ROOT / "deploy" / "README.md").read_text()
PARTS = ["You see", "It means", "Do", "Mended when", "Prevent"]
SELECTOR = re.compile(r"(demand_\w+)(?:\{([^}]*)\})?(\[\w+\])?")


def runbooks() -> dict[str, str]:
    """The text of each by its heading."""
    (section,) = re.findall(r"^## Runbooks$(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    pieces = re.split(r"^### (.+)$", section, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2]))


def rows(heading: str) -> list[tuple[str, str]]:
    """Where to look, and what is there."""
    text = runbooks()[heading]
    table = re.search(r"^\*\*You see\*\*\n\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"{heading} has no table below You see"
    found = [re.match(r"\| (.+?) \| (.+) \|$", line) for line in table[1].splitlines()[2:]]
    assert all(found), table[1]
    return [(row[1], row[2].replace("\\|", "|")) for row in found if row]


def holds(heading: str, seen: Seen, before: str) -> None:
    """That all of it was seen."""
    for where, told in rows(heading):
        quoted = re.findall(r"`([^`]+)`", told)
        assert quoted, f"{heading}: {where} quotes nothing"
        for words in quoted:
            if where in ("metric", "PromQL"):
                _is_measured(heading, words, before, seen.texts["metric"][-1])
            elif where == "alarm":
                stack = (ROOT / "deploy" / "cloudformation" / "service.yaml").read_text()
                assert f"  {words}:\n    Type: AWS::CloudWatch::Alarm" in stack, words
            else:
                assert where in seen.texts, f"{heading}: nobody looked at {where}"
                pattern = ".*".join(map(re.escape, words.split("…")))
                texts = seen.texts[where]
                assert any(re.search(pattern, text) for text in texts), (
                    f"{heading}: {where} has no {words}\n" + "\n".join(texts)
                )


def _is_measured(heading: str, query: str, before: str, after: str) -> None:
    """That a series of each selector is there, and has grown; or is 0, where that is asked for."""
    selectors = SELECTOR.findall(query)
    assert selectors, query
    for name, matchers, _ in selectors:
        then, now = _sum(name, matchers, before), _sum(name, matchers, after)
        assert now is not None, f"{heading}: no series {name}{{{matchers}}} in\n{after}"
        is_as_told = now == 0 if query.endswith("== 0") else now > (then or 0)
        assert is_as_told, f"{heading}: {name}{{{matchers}}} went from {then} to {now}"


def _sum(name: str, matchers: str, metrics: str) -> float | None:
    wanted = re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers)
    found: list[float] = []
    for line in metrics.splitlines():
        if not (series := re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)):
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', series[1] or ""))
        matches = {
            "=": lambda label, value: labels.get(label) == value,
            "!=": lambda label, value: labels.get(label) != value,
            "=~": lambda label, value: re.fullmatch(value, labels.get(label, "")) is not None,
        }
        if all(matches[operator](label, value) for label, operator, value in wanted):
            found.append(float(series[2]))
    return sum(found) if found else None
