"""Starts the services that tests of another language need, runs a command, and stops them.

    serve_then.py COMMAND [ARGUMENT...]

The command finds in `VOUCHSAFE_ACCEPTANCE` a JSON file with the services and the evidence they
accept, and in `NODE_EXTRA_CA_CERTS` their CA certificates (Node reads it before it runs anything).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import evidence
from harness import Service, b64url


def main(command):
    if not evidence.present():
        print(f"no vectors in {evidence.root()}: skipped")
        return 1 if os.environ.get("CI") == "true" else 0
    services, items = {}, []
    with tempfile.TemporaryDirectory(prefix="vouchsafe-acceptance-") as temp:
        try:
            for item in [*evidence.sdk_items(), *evidence.manifest_items()]:
                if item.endorsed not in services:
                    services[item.endorsed] = Service(*item.endorsed.serve_args()).start()
                items.append(
                    {
                        "name": item.name,
                        "kind": item.kind,
                        "uri": services[item.endorsed].uri,
                        "evidence": b64url(item.evidence),
                        "runtime": None if item.runtime is None else b64url(item.runtime),
                        "runtimeIsJson": item.runtime_is_json,
                        "claims": item.claims,
                    }
                )
            ca, description = Path(temp, "ca.pem"), Path(temp, "acceptance.json")
            ca.write_text("".join(service.ca.read_text() for service in services.values()))
            description.write_text(json.dumps({"items": items}))
            env = os.environ | {"NODE_EXTRA_CA_CERTS": str(ca), "VOUCHSAFE_ACCEPTANCE": str(description)}
            return subprocess.run(command, env=env, cwd=Path(__file__).parent).returncode
        finally:
            for service in services.values():
                service.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
