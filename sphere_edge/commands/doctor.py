"""`sphere-edge doctor`: what is there, what is missing, and the next command."""

from __future__ import annotations

import dataclasses

from sphere_edge import console
from sphere_edge.doctor import Finding, State, examine, is_healthy

_MARKS: dict[State, str] = {"ok": "ok", "optional": "–", "missing": "MISSING"}


def doctor(*, as_json: bool) -> list[Finding]:
    """Prints the state of the installation."""
    findings = examine()
    if as_json:
        console.write_json(
            {
                "healthy": is_healthy(findings),
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
        )
        return findings
    console.write_table(
        ("WHAT", "STATE", "FOUND"),
        [(finding.name, _MARKS[finding.state], finding.found) for finding in findings],
    )
    for finding in findings:
        if finding.next_command:
            console.say(f"{finding.name}: {finding.next_command}")
    return findings
