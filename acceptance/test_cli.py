"""The command line as a person types it: attest, verify a token, look at and verify evidence."""

import hashlib
import json
import stat

import pytest

import evidence
from harness import Service, decode, run

DRAFT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"


@pytest.fixture
def files(tmp_path, json_quote, binary_quote, json_report):
    """The evidence and its runtime data as files."""
    for name, item in [("json", json_quote), ("binary", binary_quote), ("report", json_report)]:
        (tmp_path / f"{name}.evidence").write_bytes(item.evidence)
        (tmp_path / f"{name}.runtime").write_bytes(item.runtime)
    (tmp_path / "draft.policy").write_text(DRAFT)
    return tmp_path


def attest(service, *args, tee="sgx"):
    return run("attest", tee, "--endpoint", service.uri, "--ca-file", service.ca, *args)


def verify(service, token, *args, issuer=None):
    return run("token", "verify", "-", "--issuer", issuer or service.uri, "--ca-file", service.ca, *args, input=token)


def test_attest_and_verify(service, files, binary_quote):
    attested = attest(service, "--evidence", files / "binary.evidence", "--runtime-data", files / "binary.runtime")
    assert attested.returncode == 0, attested.stderr
    token = attested.stdout.strip()
    assert token.count(".") == 2 and "\n" not in token, "the token alone on standard output"
    verified = verify(service, attested.stdout)
    assert verified.returncode == 0, verified.stderr
    assert binary_quote.claims["x-ms-sgx-mrenclave"] in verified.stdout
    print(verified.stdout[:1500])


def test_attest_and_verify_as_json(service, files, json_report):
    attested = attest(
        service,
        *("--evidence", files / "report.evidence", "--runtime-data", files / "report.runtime"),
        *("--runtime-data-type", "json", "--nonce", "n-1", "--json"),
        tee="openenclave",
    )
    assert attested.returncode == 0, attested.stderr
    answer = json.loads(attested.stdout)
    assert answer["claims"]["x-ms-runtime"] == json.loads(json_report.runtime)
    assert answer["claims"]["nonce"] == "n-1"
    verified = verify(service, answer["token"], "--json")
    assert verified.returncode == 0, verified.stderr
    document = json.loads(verified.stdout)
    claims = document.get("claims", document)
    assert claims["x-ms-sgx-mrenclave"] == json_report.claims["x-ms-sgx-mrenclave"]


def test_quote_command_gets_the_report_data(service, files, binary_quote):
    """The command is asked for a quote over SHA-256 of the runtime data, and ours is one."""
    script = files / "make-quote"
    script.write_text(f'#!/bin/sh\ncat > "{files}/asked"\ncat "{files}/binary.evidence"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    attested = attest(service, "--quote-command", str(script), "--runtime-data", files / "binary.runtime")
    assert attested.returncode == 0, attested.stderr
    asked = (files / "asked").read_text().strip()
    assert asked == hashlib.sha256(binary_quote.runtime).hexdigest() + "00" * 32
    assert asked == binary_quote.claims["x-ms-sgx-report-data"]
    print(f"the command was asked for report data {asked[:32]}…")


def test_wrong_runtime_data(service, files):
    refused = attest(service, "--evidence", files / "binary.evidence", "--runtime-data", files / "json.runtime")
    assert refused.returncode == 1 and not refused.stdout
    assert "runtime data" in refused.stderr.lower() and "report data" in refused.stderr.lower(), refused.stderr


def test_draft_tokens_do_not_verify(service, files):
    drafted = attest(service, "--evidence", files / "json.evidence", "--draft-policy", files / "draft.policy")
    assert drafted.returncode == 0 and drafted.stdout.strip().endswith("."), drafted.stderr
    assert decode(drafted.stdout.strip())[0]["alg"] == "none"
    assert verify(service, drafted.stdout).returncode == 1


def test_tokens_that_do_not_verify(service, files):
    token = attest(service, "--evidence", files / "json.evidence").stdout.strip()
    header, claims, signature = token.split(".")
    flipped = ("A" if signature[10] != "A" else "B").join([signature[:10], signature[11:]])
    for what, wrong, issuer in [
        ("signature", f"{header}.{claims}.{flipped}", None),
        ("claims", f"{header}.{claims[:-8]}{'A' * 8}.{signature}", None),
        ("no signature", f"{header}.{claims}.", None),
    ]:
        refused = verify(service, wrong, issuer=issuer)
        assert refused.returncode in (1, 2) and refused.stderr, what
    # The same service under a name that it does not issue tokens as.
    other = service.uri.replace("127.0.0.1", "localhost")
    if other != service.uri:
        refused = verify(service, token, issuer=other)
        assert refused.returncode in (1, 3), refused
    gone = verify(service, token, issuer="https://127.0.0.1:9")
    assert gone.returncode == 3, "nobody there: failed, not denied"


def test_a_ca_that_is_not_the_services(service, files, tmp_path):
    refused = run("attest", "sgx", "--endpoint", service.uri, "--evidence", files / "json.evidence")
    assert refused.returncode == 3, "the system trusts no local CA"
    assert "certificate" in refused.stderr.lower(), refused.stderr


def test_token_show_says_that_it_verified_nothing(service, files):
    token = attest(service, "--evidence", files / "json.evidence").stdout
    shown = run("token", "show", "-", input=token)
    assert shown.returncode == 0 and "not verified" in shown.stdout.lower()


def endorsed(item):
    return [arg for path in item.endorsed.files for arg in ("--endorsements", path)] + ["--at", item.endorsed.at]


def verify_evidence(item, path, *args, kind=None):
    return run("evidence", "verify", "--kind", kind or item.manifest_kind, *endorsed(item), *args, "--json", path)


@pytest.mark.parametrize("item", evidence.manifest_items(), ids=str)
def test_evidence_verify(item):
    done = verify_evidence(item, item.path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "genuine"
    assert document["tcb_status"] == item.tcb_status
    for name, value in item.claims.items():
        assert document["claims"][name] == value and type(document["claims"][name]) is type(value), name
    assert document["checks"] and all(c["id"] for c in document["checks"])
    assert not [c for c in document["checks"] if c["outcome"] == "failed"]
    print(f"{item.name}: {document['tcb_status']}, {len(document['checks'])} checks")


@pytest.mark.parametrize("item", evidence.sdk_items(), ids=str)
def test_evidence_verify_with_runtime_data(tmp_path, item):
    kind = "sgx-quote-v3" if item.kind == "SgxEnclave" else "oe-report"
    (tmp_path / "evidence").write_bytes(item.evidence)
    (tmp_path / "runtime").write_bytes(item.runtime)
    (tmp_path / "wrong").write_bytes(item.runtime + b" ")
    done = verify_evidence(item, tmp_path / "evidence", "--runtime-data", tmp_path / "runtime", kind=kind)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "genuine"
    done = verify_evidence(item, tmp_path / "evidence", "--runtime-data", tmp_path / "wrong", kind=kind)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "not-genuine"
    last = document["checks"][-1]
    assert last["outcome"] == "failed" and last["expected"] != last["actual"], last
    print(f"{item.name}: {last['id']} expected {last['expected']!r}, found {last['actual']!r}")


@pytest.mark.parametrize("offset", [48 + 64, 48 + 320, 436, 1100], ids=["mrenclave", "report-data", "signature", "qe"])
def test_evidence_verify_refuses_a_flipped_bit(tmp_path, json_quote, offset):
    flipped = bytearray(json_quote.evidence)
    flipped[offset] ^= 1
    (tmp_path / "flipped").write_bytes(flipped)
    done = verify_evidence(json_quote, tmp_path / "flipped", kind="sgx-quote-v3")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "not-genuine"
    assert document["checks"][-1]["outcome"] == "failed"
    print(f"byte {offset}: {document['checks'][-1]['id']}")


def test_evidence_verify_out_of_the_endorsements_window(json_quote, tmp_path):
    (tmp_path / "quote").write_bytes(json_quote.evidence)
    args = [a for p in json_quote.endorsed.files for a in ("--endorsements", p)]
    done = run("evidence", "verify", "--kind", "sgx-quote-v3", *args, "--at", "2026-02-05T00:00:00Z", "--json", tmp_path / "quote")
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert json.loads(done.stdout)["verdict"] == "not-genuine"


@pytest.mark.parametrize(
    "args",
    [
        ["--kind", "sgx-quote-v3", "--json", "/no/such/file"],
        ["--kind", "no-such-kind", "--json", __file__],
        ["--kind", "sgx-quote-v3", "--at", "yesterday", "--json", __file__],
        ["--kind", "sgx-quote-v3", "--endorsements", "/no/such/file", "--json", __file__],
        ["--json"],
    ],
    ids=["no file", "no kind", "no time", "no endorsements", "no evidence"],
)
def test_evidence_verify_with_a_wrong_command(args):
    done = run("evidence", "verify", *args)
    assert done.returncode == 2 and done.stderr and not done.stdout, done


def test_evidence_show(tmp_path, json_quote):
    (tmp_path / "quote").write_bytes(json_quote.evidence)
    shown = run("evidence", "show", tmp_path / "quote")
    assert shown.returncode == 0, shown.stderr
    for value in [json_quote.claims["x-ms-sgx-mrenclave"], json_quote.claims["x-ms-sgx-mrsigner"], "00906ed50000"]:
        assert value.lower() in shown.stdout.lower(), value
    print(shown.stdout)


def test_help_and_version():
    assert run("--version").stdout.startswith("vouchsafe ")
    for command in [[], ["serve"], ["attest"], ["token", "verify"], ["evidence", "verify"], ["endorsements", "import"]]:
        done = run(*command, "--help")
        assert done.returncode == 0 and "Usage:" in done.stdout, command
    assert run("no-such-command").returncode == 2


@pytest.mark.skipif(not evidence.present(), reason="no vectors")
def test_endorsements_import_refuses_what_is_expired(tmp_path):
    """Import verifies as of now, whatever a replaying service would do with the same files."""
    item = next(i for i in evidence.manifest_items() if i.name == "sgx/dcap-qvl/sgx_quote.bin")
    done = run("endorsements", "import", "--data-dir", tmp_path / "data", *item.endorsed.files)
    assert done.returncode in (1, 2) and done.stderr, done
    assert "2025" in done.stderr or "2025" in done.stdout, "names the window"
    status = run("endorsements", "status", "--data-dir", tmp_path / "data", "--json")
    assert status.returncode == 0, status.stderr
    print(done.stderr, status.stdout)


def test_config_example_is_a_configuration(tmp_path):
    """Every key of the example, uncommented, is accepted or refused by name; as it stands it is the default."""
    example = run("config", "example")
    assert example.returncode == 0 and "[provider]" in example.stdout
    config = tmp_path / "vouchsafe.toml"
    config.write_text(example.stdout)
    with Service("--config", config, data_dir=tmp_path / "data") as service:
        assert service.request("GET", "/certs").status == 200
