"""List known vulnerabilities of the packages pinned in constraints.txt, by pip-audit from the OSV database.

    python scripts/audit.py [PIP_AUDIT]

Exit status: 0 no vulnerabilities, 1 vulnerabilities, 3 some or all packages could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_AUDITED = 3


def main() -> None:
    tool = sys.argv[1] if len(sys.argv) > 1 else "pip-audit"
    options = ["-r", str(ROOT / "constraints.txt"), "--disable-pip", "--no-deps", "--vulnerability-service", "osv"]
    command = [tool, *options, "--format", "json", "--progress-spinner", "off"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(process.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1]
        print(f"No audit: OSV could not be reached ({reason}). Run it on a machine with a network.", file=sys.stderr)
        sys.exit(NOT_AUDITED)
    skipped = [package for package in packages if "skip_reason" in package]
    flawed = [package for package in packages if package.get("vulns")]
    for package in skipped:
        print(f"{package['name']}: not audited: {package['skip_reason']}")
    for package in flawed:
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    print(f"{len(packages)} packages, {len(skipped)} not audited, {len(flawed)} with advisories")
    sys.exit(1 if flawed else NOT_AUDITED if skipped else 0)


if __name__ == "__main__":
    main()
