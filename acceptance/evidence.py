"""The captured evidence that the tests send, with the endorsements and the date it is good at.

It lies outside the repository: `VOUCHSAFE_VECTORS` names the directory, else `../shared` beside the
checkout. Absent, the tests that need it are skipped, unless CI is set: then they fail.
"""

import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness import ALL_TCB_STATUSES, REPO, b64url_decode


def root():
    return Path(os.environ.get("VOUCHSAFE_VECTORS", REPO.parent / "shared"))


def present():
    return (root() / "vectors" / "manifest.json").is_file()


@dataclass(frozen=True)
class Endorsed:
    """A set of endorsements and a date at which all of it is valid."""

    at: str
    files: tuple

    def serve_args(self, accept=tuple(ALL_TCB_STATUSES)):
        args = ["--danger-appraise-at", self.at]
        for path in self.files:
            args += ["--endorsements", str(path)]
        for status in accept:
            args += ["--accept-tcb-status", status]
        return args


@dataclass(frozen=True)
class Item:
    """A piece of evidence, what it was bound to, and the claims it must yield."""

    name: str
    kind: str
    evidence: bytes
    endorsed: Endorsed
    claims: dict = field(hash=False)
    runtime: bytes | None = None
    runtime_is_json: bool = False
    # Name under which the vectors' manifest knows this form.
    manifest_kind: str = ""
    path: Path | None = None
    tcb_status: str | None = None

    @property
    def field(self):
        return "quote" if self.kind == "SgxEnclave" else "report"

    def __str__(self):
        return self.name


KINDS = {"sgx-quote-v3": "SgxEnclave", "oe-report": "OpenEnclave"}


@cache
def manifest_items():
    """Every SGX quote and Open Enclave report of the manifest that has dated endorsements."""
    if not present():
        return []
    vectors = root() / "vectors"
    found = []
    for entry in json.loads((vectors / "manifest.json").read_text())["entries"]:
        kind = KINDS.get(entry["kind"])
        verdicts = entry.get("expected", {}).get("verdicts", [])
        # A verdict without a date belongs to endorsements that were never all valid at once.
        verdicts = [v for v in verdicts if v.get("verify_at") == entry.get("verify_at")]
        if not kind or not verdicts or "verify_at" not in entry:
            continue
        verdict = verdicts[0]
        body = entry["expected"]["body"]
        found.append(
            Item(
                name=entry["path"],
                kind=kind,
                evidence=(vectors / entry["path"]).read_bytes(),
                endorsed=Endorsed(verdict["verify_at"], tuple(vectors / c for c in verdict["collateral"])),
                claims={
                    "x-ms-sgx-mrenclave": body["mrenclave"],
                    "x-ms-sgx-mrsigner": body["mrsigner"],
                    "x-ms-sgx-product-id": body["isvprodid"],
                    "x-ms-sgx-svn": body["isvsvn"],
                    "x-ms-sgx-is-debuggable": body["debug"],
                    "x-ms-sgx-report-data": body["report_data"],
                },
                manifest_kind=entry["kind"],
                path=vectors / entry["path"],
                tcb_status=verdict["platform_tcb_status"],
            )
        )
    return found


@cache
def sdk_items():
    """The evidence of the published SDKs and samples, with the runtime data it is bound to."""
    if not present():
        return []
    # All of it comes from machines of the family (FMSPC 00906ED50000) of the recorded exchanges.
    endorsed = next(i.endorsed for i in manifest_items() if i.name.startswith("sgx/maa-recordings/"))
    return [
        Item(
            name=entry["name"],
            kind=entry["kind"],
            evidence=b64url_decode(entry["evidence"]),
            endorsed=endorsed,
            claims=entry["claims"],
            runtime=b64url_decode(entry["runtimeData"]),
            runtime_is_json=entry["runtimeIsJson"],
        )
        for entry in json.loads((root() / "vectors-sdk" / "evidence.json").read_text())
    ]


def named(name):
    return next(i for i in sdk_items() if i.name == name)
