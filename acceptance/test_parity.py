"""Parity with the real service: its recorded answers against ours to the same requests.

Each recorded attestation is sent to a running service: the same body, under the same policy. A policy
that was stored at the real provider goes along as a draft, which the real service answers with the
same claims (its recordings hold both). Then claims are compared: names, JSON types, values; the
members of the collateral objects one by one. A difference that `vectors/parity-exceptions.toml` does
not list fails, and so does a listed one that has gone.
"""

import hashlib
import json
import tomllib
from collections import Counter
from dataclasses import dataclass

import pytest
import yaml

import evidence
from harness import REPO, b64url, decode

EXCEPTIONS = REPO / "vectors" / "parity-exceptions.toml"

# The policies that the recorded providers had, found by their hash in the recorded tokens.
PERMIT_ALL = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DEFAULT_OF_2021 = (
    "version= 1.0;authorizationrules{=> permit();};issuancerules{"
    'c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);'
    'c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);'
    'c:[type=="x-ms-sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);'
    'c:[type=="x-ms-sgx-product-id"] => issue(type="product-id", value=c.value);'
    'c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);'
    'c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);};'
)


def policy_hash(text):
    return b64url(hashlib.sha256(b64url(text.encode()).encode()).digest())


POLICIES = {policy_hash(text): text for text in [PERMIT_ALL, DEFAULT_OF_2021]}


@dataclass
class Recording:
    """One recorded attestation."""

    name: str
    path: str
    body: dict
    token: str


def recordings():
    if not evidence.present():
        return []
    found = []
    # The SDK's cassettes.
    for tape in sorted((evidence.root() / "vectors/maa-tokens/recordings").rglob("test_attestation.test_attest_*.yaml")):
        for number, step in enumerate(yaml.safe_load(tape.read_text())["interactions"]):
            request = step["request"]
            if request["method"] != "POST":
                continue
            path = request["uri"].split("attest.azure.net", 1)[1]
            name = f"{tape.stem.split('test_attest_')[1]}.{number:02}"
            found.append(Recording(name, path, json.loads(request["body"]), json.loads(step["response"]["body"]["string"])["token"]))
    # The exchanges of July 2021; evidence stands in a file of its own there.
    by_name = {item.name: item for item in evidence.sdk_items()}
    kept = json.loads((evidence.root() / "vectors-sdk/recorded-2021.json").read_text())["exchanges"]
    for number, step in enumerate(kept):
        if step["method"] != "POST" or not step["path"].startswith(("/attest/SgxEnclave", "/attest/OpenEnclave")):
            continue
        body = dict(step["requestBody"])
        for member in ["quote", "report"]:
            if member in body:
                item = by_name[body[member].removeprefix("<evidence.json: ").removesuffix(">")]
                body[member] = b64url(item.evidence)
        found.append(Recording(f"2021.{number:02}", step["path"], body, step["response"]["token"]))
    return found


def leaves(claims):
    """Claims by name, the members of the collateral objects by `claim.member`."""
    flat = {}
    for name, value in claims.items():
        if name in ("x-ms-sgx-collateral", "maa-attestationcollateral") and isinstance(value, dict):
            flat |= {f"{name}.{member}": inner for member, inner in value.items()}
        else:
            flat[name] = value
    return flat


def same(a, b):
    """Equality of JSON values that keeps `1`, `1.0` and `true` apart."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def compare(recorded, ours):
    """`(claim, difference)` for all that is not the same, and how many claims are."""
    differences, equal = [], 0
    for name in sorted(recorded.keys() | ours.keys()):
        if name not in ours:
            differences.append((name, "missing"))
        elif name not in recorded:
            differences.append((name, "added"))
        elif type(recorded[name]) is not type(ours[name]):
            differences.append((name, "type"))
        elif not same(recorded[name], ours[name]):
            differences.append((name, "value"))
        else:
            equal += 1
    return differences, equal


def listed_exceptions(names):
    """The listed differences as `{(recording, claim, difference)}`."""
    listed = set()
    for entry in tomllib.loads(EXCEPTIONS.read_text())["exception"]:
        assert set(entry) == {"claim", "difference", "recordings", "reason"}, f"unknown or missing key in {entry}"
        assert entry["reason"].strip(), f"{entry['claim']} has no reason"
        chosen = names if entry["recordings"] == "all" else entry["recordings"]
        for recording in chosen:
            assert recording in names, f"`{recording}` of claim {entry['claim']} is no recording"
            key = (recording, entry["claim"], entry["difference"])
            assert key not in listed, f"{key} is listed twice"
            listed.add(key)
    return listed


def test_parity_with_the_real_service(services):
    found = recordings()
    if not found:
        pytest.skip(f"no vectors in {evidence.root()}")
    assert len(found) >= 31, f"only {len(found)} recorded attestations"
    service = services(evidence.named("sdk-test-quote"))
    listed = listed_exceptions([r.name for r in found])
    seen, total, equal, excused = set(), 0, 0, 0
    for recording in found:
        header, claims = decode(recording.token)
        body = dict(recording.body)
        stored = "draftPolicyForAttestation" not in body
        if stored:
            body["draftPolicyForAttestation"] = POLICIES[claims["x-ms-policy-hash"]]
        answer = service.request("POST", recording.path, body)
        our_header, our_claims = decode(answer.token)
        differences, same_claims = compare(leaves(claims), leaves(our_claims))
        assert our_claims["exp"] - our_claims["iat"] == claims["exp"] - claims["iat"], "lifetime"
        assert our_claims["nbf"] - our_claims["iat"] == claims["nbf"] - claims["iat"], "not-before"
        # A stored policy sent as a draft must give the header of a draft.
        expected_header = header | {"alg": "none"} if stored else header
        header_differences, _ = compare(expected_header, our_header)
        differences += [(f"header.{name}", difference) for name, difference in header_differences]
        seen |= {(recording.name, name, difference) for name, difference in differences}
        total += len(leaves(claims))
        equal += same_claims
        excused += sum((recording.name, *d) in listed for d in differences if d[1] != "added" and not d[0].startswith("header."))
        odd = [d for d in differences if (recording.name, *d) not in listed]
        print(f"{recording.name}: {same_claims} of {len(leaves(claims))} recorded claims equal{', UNLISTED ' + str(odd) if odd else ''}")
    for recording, name, difference in sorted(seen - listed):
        print(f"not listed: {recording}: {name}: {difference}")
    for recording, name, difference in sorted(listed - seen):
        print(f"listed but gone: {recording}: {name}: {difference}")
    print(f"claims equal {equal} of {total} in {len(found)} recordings; {excused} more are listed as excused")
    by_claim = Counter((name, difference) for _, name, difference in seen & listed)
    for (name, difference), times in sorted(by_claim.items()):
        print(f"  excused: {name}: {difference} in {times} recordings")
    assert not seen - listed, "differences that vectors/parity-exceptions.toml does not list"
    assert not listed - seen, "differences that vectors/parity-exceptions.toml lists but that have gone"


def test_the_comparison_can_fail():
    """Names, types and values each count."""
    recorded = {"a": 1, "b": True, "c": "x", "d": {"e": [1, 2]}}
    assert compare(recorded, dict(recorded)) == ([], 4)
    assert compare(recorded, recorded | {"a": True}) == ([("a", "type")], 3)
    assert compare(recorded, recorded | {"a": 1.0}) == ([("a", "type")], 3)
    assert compare(recorded, recorded | {"d": {"e": [2, 1]}}) == ([("d", "value")], 3)
    assert compare(recorded, recorded | {"d": {"e": [1, True]}}) == ([("d", "value")], 3)
    assert compare(recorded, {k: v for k, v in recorded.items() if k != "c"} | {"z": 0}) == ([("c", "missing"), ("z", "added")], 3)
