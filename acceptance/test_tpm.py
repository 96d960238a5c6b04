"""Machines attested by their TPMs: a software TPM, real TPM commands, the whole protocol over HTTPS."""

import json
import os
import subprocess
import time

import jwt
import pytest
from azure.security.attestation import AttestationClient
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import soft_tpm
from harness import Service, b64url, b64url_decode, decode, run
from managing import Credential
from soft_tpm import Attester, Machine

assert os.environ.get("CI") != "true" or not soft_tpm.missing(), f"not installed: {', '.join(soft_tpm.missing())}"
pytestmark = pytest.mark.skipif(bool(soft_tpm.missing()), reason=f"not installed: {', '.join(soft_tpm.missing())}")

POLICY = """version=1.2;
configurationrules{
    => issueproperty(type="required_pcr_mask", value=1023);
};
authorizationrules{
    [type=="aikValidated", value==true] && [type=="secureBootEnabled", value==true] => permit();
};
issuancerules{
    c:[type=="secureBootEnabled"] => issue(claim=c);
    c:[type=="x-ms-tpm-request-key"] => issue(claim=c);
    c:[type=="kernelCommandLine"] => issue(claim=c);
    c:[type=="rack", issuer=="CustomClaim"] => issue(type="rack", value=c.value);
    c:[type=="events"] => issue(type="eventCount", value=JmesPath(c.value, "length(Events)"));
};
"""
PERMITTING = "version=1.0; authorizationrules{=> permit();}; issuancerules{c:[type==\"aikValidated\"] => issue(claim=c);};"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with Machine(tmp_path_factory.mktemp("tpm") / "machine") as machine:
        yield machine


@pytest.fixture(scope="module")
def roots(machine, tmp_path_factory):
    """A directory of trusted issuers with the makers of the machine's TPM."""
    into = tmp_path_factory.mktemp("roots")
    done = run("tpm", "roots", "import", *machine.maker, "--to", into, "--role", "ek")
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def service(roots, tmp_path_factory):
    at = tmp_path_factory.mktemp("configuration")
    (at / "policy.txt").write_text(POLICY)
    (at / "permitting.txt").write_text(PERMITTING)
    (at / "vouchsafe.toml").write_text(
        "[endorsements]\npcs_urls = []\n"
        '[provider.policies]\nTpm = "policy.txt"\n'
        '[[providers]]\nname = "other"\npath_prefix = "other"\npolicies = { Tpm = "permitting.txt" }\n'
        f"tpm = {{ roots = {json.dumps(str(roots))} }}\n"
    )
    with Service("--config", at / "vouchsafe.toml", "--tpm-roots", roots) as service:
        yield service


def bearer(service, role="reader", provider="default"):
    done = run("admin", "token", "--data-dir", service.data_dir, "--role", role, "--provider", provider)
    assert done.returncode == 0, done.stderr
    return {"Authorization": f"Bearer {done.stdout.strip()}"}


@pytest.fixture(scope="module")
def attester(service, machine):
    attester = Attester(machine, service, headers=bearer(service))
    attester.enroll()
    return attester


def claims_of(service, token, path=""):
    """The claims of a token, as a relying party gets them."""
    keys = jwt.PyJWKSet.from_dict(service.request("GET", f"{path}/certs").json())
    return jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["RS256"], issuer=service.uri + path)


def refused(answer, status, code, *words):
    assert answer.status == status, answer.body
    assert answer.error["code"] == code, answer.body
    for word in words:
        assert word in answer.error["message"], answer.error["message"]


# ---------------------------------------------------------------- what works


def test_the_whole_protocol(service, machine, attester):
    answer, token = attester.attest()
    assert answer.status == 200, answer.body
    claims = claims_of(service, token)
    assert claims["secureBootEnabled"] is True
    assert claims["kernelCommandLine"] == "BOOT_IMAGE=/vmlinuz root=/dev/lab quiet"
    assert claims["rack"] == 7
    assert int(claims["eventCount"]) > 15
    assert claims["rp_data"] == claims["nonce"] == b64url(b"a nonce of the relying party")
    assert claims["cnf"]["jwk"] == attester.jwk()
    assert claims["x-ms-tpm-request-key"] == {"jwk": attester.jwk(), "info": {"tpm_quote": {"hash_alg": "sha-256"}}}
    assert claims["exp"] - claims["iat"] == 24 * 60 * 60 and claims["iat"] - claims["nbf"] == 300
    header, _ = decode(token)
    assert "x5c" in header


def test_the_certificate_is_one_that_others_verify(service, machine, attester, tmp_path):
    certificate = x509.load_der_x509_certificate(attester.certificate)
    (tmp_path / "aik.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "ca.pem").write_bytes(service.request("GET", "/tpm/ca").body)
    done = subprocess.run(
        ["openssl", "verify", "-ignore_critical", "-CAfile", "ca.pem", "aik.pem"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    crl = x509.load_der_x509_crl(service.request("GET", "/tpm/ca.crl").body)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    assert crl.is_signature_valid(authority.public_key())


def test_our_own_client(service, machine, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(machine.log.bytes)
    command = [
        "attest", "tpm", "--endpoint", service.uri, "--ca-file", service.ca, "--tcti", machine.tcti,
        "--event-log", log, "--no-ima", "--state-dir", tmp_path / "state",
    ]  # fmt: skip
    env = {"VOUCHSAFE_BEARER_TOKEN": bearer(service)["Authorization"].split()[1]}
    first = run(*command, env=env)
    assert first.returncode == 0, first.stderr
    assert claims_of(service, first.stdout.strip())["secureBootEnabled"] is True
    # The second time it has its key and certificate.
    before = machines(service)
    again = run(*command, env=env)
    assert again.returncode == 0, again.stderr
    assert machines(service) == before


def test_the_whole_protocol_through_the_published_client(service, attester):
    token = attester.headers["Authorization"].split()[1]
    with AttestationClient(service.uri, Credential(token), connection_verify=str(service.ca)) as client:
        challenge = json.loads(client.attest_tpm('{"payload":{"type":"aikcert"}}'))["payload"]
        request = {"payload": {"request": attester.request(challenge)}}
        report = json.loads(client.attest_tpm(json.dumps(request)))["payload"]["report"]
    assert claims_of(service, report)["secureBootEnabled"] is True


def test_without_a_role_nobody_attests(service, machine):
    stranger = Attester(machine, service)
    answer, _ = stranger.message({"type": "aikcert"})
    refused(answer, 401, "Unauthorized")
    assert stranger.begin_enrollment().status == 401


# ---------------------------------------------------------------- what is refused


def test_a_challenge_is_answered_once(attester):
    challenge = attester.challenge()
    request = attester.request(challenge)
    first, _ = attester.message({"request": request})
    assert first.status == 200, first.body
    for again in (request, attester.request(challenge)):
        answer, _ = attester.message({"request": again})
        refused(answer, 400, "InvalidParameter", "challenge", "already")


def test_another_challenge_than_that_of_the_context(attester):
    challenge, other = attester.challenge(), attester.challenge()
    mixed = {"challenge": other["challenge"], "service_context": challenge["service_context"]}
    answer, _ = attester.message({"request": attester.request(mixed)})
    refused(answer, 400, "InvalidParameter", "challenge")


def test_a_quote_over_another_challenge(attester):
    answer, _ = attester.attest(nonce=b"n" * 32)
    refused(answer, 400, "InvalidParameter", "nonce")


def test_a_context_that_has_expired(service, attester):
    challenge = attester.challenge()
    key = (service.data_dir / "context-key").read_bytes()
    context = json.loads(b64url_decode(challenge["service_context"]))
    sealed = b64url_decode(context["ProtectedContext"])
    aad = f"tpm challenge\0default\0{service.uri}".encode()
    plain = AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    assert int.from_bytes(plain[:8], "big") > time.time()
    expired = int(time.time() - 1).to_bytes(8, "big") + plain[8:]
    context["ProtectedContext"] = b64url(sealed[:12] + AESGCM(key).encrypt(sealed[:12], expired, aad))
    challenge["service_context"] = b64url(json.dumps(context).encode())
    answer, _ = attester.message({"request": attester.request(challenge)})
    refused(answer, 400, "InvalidParameter", "expired")


def test_a_context_of_another_provider(service, machine, attester):
    other = Attester(machine, service, "/other", bearer(service, provider="other"))
    answer, _ = attester.message({"request": attester.request(other.challenge())})
    refused(answer, 400, "InvalidParameter", "service_context")
    # Its attestation CA is nobody's here, and the other way round.
    other.enroll()
    answer, _ = other.attest(certificate=attester.certificate)
    refused(answer, 400, "InvalidParameter", "certificate")
    answer, token = other.attest()
    assert answer.status == 200, answer.body
    assert claims_of(service, token, "/other")["aikValidated"] is True


def test_the_key_of_another_machine(service, machine, attester, tmp_path):
    with Machine(tmp_path / "machine", maker=machine) as other:
        thief = Attester(other, service, headers=bearer(service))
        answer, _ = thief.attest(certificate=attester.certificate)
        refused(answer, 400, "InvalidParameter", "signature")
        # Nor can it get a certificate for its own key with the other's endorsement key.
        begun = thief.begin_enrollment(ek_certificate=machine.ek_certificate)
        refused(begun, 400, "InvalidParameter", "endorsement")
        thief.enroll()
        answer, _ = thief.attest()
        assert answer.status == 200, answer.body


def test_a_log_that_is_not_the_one_measured(service, attester, machine):
    for log, words in (
        (machine.log.bytes[:-70], ("log", "left")),
        (machine.log.bytes[:-1], ("log",)),
        (soft_tpm.boot(command_line="/vmlinuz init=/bin/sh").bytes, ("PCR 8", "event")),
        (soft_tpm.boot(secure=False).bytes, ("PCR 7", "log")),
    ):
        assert log != machine.log.bytes
        answer, _ = attester.attest(log=log)
        refused(answer, 400, "InvalidParameter", *words)
    # What is not measured says nothing: a text that is not that of its digest is left out.
    answer, token = attester.attest(log=machine.log.bytes.replace(b"root=/dev/lab", b"root=/dev/bad"))
    assert answer.status == 200, answer.body
    assert "kernelCommandLine" not in claims_of(service, token)


def test_pcrs_that_are_not_in_the_quote(attester):
    answer, _ = attester.attest(pcrs=(0, 1, 2, 3))
    refused(answer, 400, "InvalidParameter", "PCR 4")

    def add_pcr(content):
        banks = content["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"]
        banks[0]["values"].append({"index": 23, "digest": b64url(bytes(32))})

    answer, _ = attester.attest(pcrs=tuple(range(23)), change=add_pcr)
    refused(answer, 400, "InvalidParameter", "PCR 23")


def test_a_quote_by_an_unrestricted_key(attester, machine):
    machine.make_unrestricted_key("unrestricted")
    begun = attester.begin_enrollment(key="unrestricted")
    refused(begun, 400, "InvalidParameter", "restricted")
    answer, _ = attester.attest(key="unrestricted")
    refused(answer, 400, "InvalidParameter", "signature")


def test_a_machine_that_boots_anything(service, machine, tmp_path):
    with Machine(tmp_path / "machine", soft_tpm.boot(secure=False), maker=machine) as insecure:
        attester = Attester(insecure, service, headers=bearer(service))
        attester.enroll()
        answer, _ = attester.attest()
        refused(answer, 400, "PolicyEvaluationError")
        answer, _ = attester.attest(log=soft_tpm.boot(secure=True).bytes)
        refused(answer, 400, "InvalidParameter", "PCR 7")


def test_a_tpm_of_an_unknown_maker(service, tmp_path):
    with Machine(tmp_path / "machine") as stranger:
        refused(Attester(stranger, service, headers=bearer(service)).begin_enrollment(), 400, "InvalidParameter", "issuer")


# ---------------------------------------------------------------- machines


def machines(service, *command):
    done = run(
        "tpm", "machines", *(command or ("list",)), "--json", "--endpoint", service.uri, "--ca-file", service.ca,
        env={"VOUCHSAFE_BEARER_TOKEN": bearer(service, "contributor")["Authorization"].split()[1]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_machine_is_revoked_and_restored(service, machine, tmp_path):
    with Machine(tmp_path / "machine", maker=machine) as stolen:
        attester = Attester(stolen, service, headers=bearer(service))
        enrolled = attester.enroll()
        assert attester.attest()[0].status == 200
        machines(service, "revoke", enrolled["machine"], "--reason", "stolen")
        listed = {entry["machine"]: entry for entry in machines(service)["machines"]}
        assert listed[enrolled["machine"]]["reason"] == "stolen"
        answer, _ = attester.attest()
        refused(answer, 400, "InvalidOperation", "revoked")
        assert "revoked" in attester.begin_enrollment().error["message"]
        crl = x509.load_der_x509_crl(service.request("GET", "/tpm/ca.crl").body)
        serial = x509.load_der_x509_certificate(attester.certificate).serial_number
        assert crl.get_revoked_certificate_by_serial_number(serial) is not None
        machines(service, "restore", enrolled["machine"])
        answer, _ = attester.attest()
        assert answer.status == 200, answer.body


def test_everything_is_in_the_audit_log(service):
    done = run("audit", "verify", "--data-dir", service.data_dir, "--json")
    assert done.returncode == 0, done.stderr
    events = [
        json.loads(line)
        for path in sorted((service.data_dir / "audit").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    operations = {event["operation"] for event in events}
    assert {"POST /tpm/enrollments", "POST /tpm/enrollments:activate", "POST /attest/tpm"} <= {
        operation.lower().replace("post", "POST") for operation in operations
    }
