"""``make audit``: secrets in the tree, licences of packages, known weaknesses, and a bill of materials.

The bill is made by ``python -m audit --bill PYTHON``, where that Python has ``cyclonedx-bom``: the package brings a format check with it
whose import costs every process that loads dbt four seconds, so it lives in an environment of its own.

Every finding is mended or answered with a reason in ``answers.toml``; an unanswered one, and an answer that nothing needs any more, end
with 1. Insecure code is ruff's task (rules S in ``make lint``), with its reasons in ``pyproject.toml`` and beside the lines.

``python -m audit --write`` writes ``licences.csv`` anew.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = tomllib.loads((ROOT / "audit/answers.toml").read_text())
LICENCES = ROOT / "audit/licences.csv"
VENDORED = ROOT / "oasis_pipeline/service/pages/static/pages/vendor"
MADE = {".csv", ".ipynb", ".model", ".png", ".svg", ".xz"}
"""Ends of the names of files that programs write: numbers and pictures, which look random."""
BILL = ROOT / "build/sbom.json"


def main() -> None:
    licences = dict(sorted(read_licences()))
    if "--write" in sys.argv:
        with LICENCES.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("package", "licence"), *licences.items()])
    findings = [*secrets(), *licences_not_allowed(licences), *vendored(), *weaknesses()]
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings; {len(licences)} packages")
    if "--bill" in sys.argv:
        write_bill(sys.argv[sys.argv.index("--bill") + 1])
    sys.exit(bool(findings))


def secrets() -> Iterator[str]:
    """Texts of the tree that look like secrets, other than those that are answered by their hash."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    answers = ANSWERS["secrets"]
    names = [
        name
        for name in tracked.stdout.splitlines()
        if Path(name).suffix not in MADE and name != "audit/answers.toml"
    ]
    found: dict[str, set[str]] = {}
    with default_settings():
        collection = SecretsCollection(root=str(ROOT))
        collection.scan_files(*names)
        for name, secret in collection:
            found.setdefault(name, set()).add(secret.secret_hash[:12])
            if secret.secret_hash[:12] not in answers.get(name, {}).get("hashes", ()):
                yield (
                    f"{name}:{secret.line_number}: looks like a secret ({secret.type}): remove it, and count it as stolen where it is"
                    f" one; else answer {secret.secret_hash[:12]} in audit/answers.toml"
                )
    for name, answer in answers.items():
        for left in set(answer["hashes"]) - found.get(name, set()):
            yield f"audit/answers.toml: {name} has no {left} any more"


def read_licences() -> Iterator[tuple[str, str]]:
    """Name and licence of each package that is installed, in the spelling of SPDX as far as the package lets it be told."""
    for package in distributions():
        name = str(package.metadata["Name"]).lower().replace("_", "-")
        if name != "oasis-pipeline":
            yield name, ANSWERS["licence_of"].get(name) or _licence(package)


def _licence(package: Distribution) -> str:
    meta = package.metadata
    names = [
        text.rpartition(" :: ")[2]
        for text in meta.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    text = meta.get("License-Expression") or " AND ".join(
        sorted(ANSWERS["spelling"].get(name, name) for name in names if name != "OSI Approved")
    )
    first = text or (meta.get("License") or "unknown").strip().splitlines()[0]
    return str(ANSWERS["spelling"].get(first, first))


def licences_not_allowed(licences: dict[str, str]) -> Iterator[str]:
    """Packages under a licence that is neither allowed nor answered, or that are not in the list as they are."""
    with LICENCES.open() as file:
        listed = {row["package"]: row["licence"] for row in csv.DictReader(file)}
    for name, licence in licences.items():
        if licence not in ANSWERS["allowed"]["licences"] and name not in ANSWERS["exceptions"]:
            yield f"{name}: {licence} is not among the allowed licences: do without it, or answer in audit/answers.toml"
        if listed.get(name) != licence:
            yield f"{name}: audit/licences.csv says {listed.get(name)}, the package {licence}: python -m audit --write"


def vendored() -> Iterator[str]:
    """Files of others in our tree whose licence is not told."""
    told = (VENDORED / "LICENSES.txt").read_text()
    for file in VENDORED.iterdir():
        if file.name != "LICENSES.txt" and file.name not in told:
            yield f"{file.relative_to(ROOT)}: LICENSES.txt beside it does not name it"


def weaknesses() -> Iterator[str]:
    """Known weaknesses of the pinned packages, where the data of them can be reached."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", "constraints.txt", "--no-deps"]
    done = subprocess.run(
        [*command, "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        packages = []
    known = [package for package in packages if "vulns" in package]
    if not known:
        print("known weaknesses: the data could not be reached, so nothing is said of any package")
        return
    print(f"known weaknesses: {len(known)} of {len(packages)} packages looked up")
    for package in known:
        for each in package["vulns"]:
            if each["id"] not in ANSWERS["weaknesses"]:
                fixed = ", ".join(each.get("fix_versions") or ()) or "no release yet"
                yield f"{package['name']} {package['version']}: {each['id']}, mended in {fixed}"


def write_bill(python: str) -> None:
    """Write the bill of materials of what is installed here, by the program that another Python has."""
    BILL.parent.mkdir(exist_ok=True)
    command = [
        "cyclonedx_py",
        "environment",
        sys.prefix,
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "--no-validate",
    ]
    subprocess.run(
        [python, "-m", *command, "--output-file", str(BILL)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    print(f"bill of materials: {BILL.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
