"""Known vulnerabilities of everything constraints.txt pins, asked of OSV by pip-audit.

    python scripts/audit.py [PIP_AUDIT]

Exit status: 0 when there are none, 1 when there are some, 3 when nothing, or not everything, could be looked up.
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
    asked = ["-r", str(ROOT / "constraints.txt"), "--disable-pip", "--no-deps", "--vulnerability-service", "osv"]
    command = [tool, *asked, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        print(f"No audit: OSV could not be asked ({reason}). Run it where there is a network.", file=sys.stderr)
        sys.exit(NOT_AUDITED)
    skipped = [package for package in packages if "skip_reason" in package]
    found = [package for package in packages if package.get("vulns")]
    for package in skipped:
        print(f"{package['name']}: not audited: {package['skip_reason']}")
    for package in found:
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "nothing yet"
            print(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    print(f"{len(packages)} packages, {len(skipped)} not audited, {len(found)} with advisories")
    sys.exit(1 if found else NOT_AUDITED if skipped else 0)


if __name__ == "__main__":
    main()
