"""The published administration clients for Python and JavaScript, unmodified, manage policies and signers.

One service holds providers of the AAD and the isolated trust model. The access tokens are those of
`vouchsafe admin token`. Every answer goes through the SDKs' own validation.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.security.attestation import (
    AttestationClient,
    AttestationPolicyToken,
    AttestationTokenValidationException,
    AttestationType,
)
from azure.security.attestation.aio import AttestationAdministrationClient as AsyncAttestationAdministrationClient
from cryptography.hazmat.primitives.asymmetric import ec

import evidence
from harness import Service, b64url, decode
from managing import (
    DEFAULT_SGX_HASH,
    DENYING,
    POLICY,
    POLICY_HASH,
    RENAMING,
    TOKEN_HASH_WITH_SPACES,
    AsyncCredential,
    Credential,
    Managed,
    Signer,
    baseline,
    endorsed_configuration,
    node_with,
    policy_hash,
    token_hash,
)

SGX = AttestationType.SGX_ENCLAVE
TYPES = [SGX, AttestationType.OPEN_ENCLAVE, AttestationType.TPM]
CONFIGURATION = """
[[providers]]
name = "isolated"
path_prefix = "isolated"
trust_model = "isolated"
policy_signer_certificates = ["signer.pem"]
{baseline}
[[providers]]
name = "explaining"
path_prefix = "explaining"
explain_denials = true
{baseline}
"""
JWT_CLAIMS = {"exp", "iat", "iss", "nbf"}


@pytest.fixture(scope="module")
def signer():
    return Signer("IsolatedSigner")


@pytest.fixture(scope="module")
def managed(tmp_path_factory, signer):
    directory = tmp_path_factory.mktemp("management")
    (directory / "signer.pem").write_text(signer.certificate)
    providers = CONFIGURATION.format(baseline=baseline("providers"))
    (directory / "vouchsafe.toml").write_text(endorsed_configuration() + providers)
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data") as service:
        yield Managed(service)


def claims_of(token):
    """The claims of an answer beside those that every answer has; it is good for an hour."""
    header, claims = decode(token.to_jwt_string())
    assert sorted(header) == ["alg", "jku", "kid", "typ"] and header["alg"] == "RS256"
    assert claims["exp"] - claims["iat"] == 3600 and claims["nbf"] <= claims["iat"]
    return {name: value for name, value in claims.items() if name not in JWT_CLAIMS}


def refused(call, code, status=400):
    with pytest.raises(HttpResponseError) as caught:
        call()
    assert (caught.value.status_code, caught.value.error.code) == (status, code), caught.value
    return caught.value


@pytest.mark.parametrize("kind", TYPES)
def test_get_set_and_reset_without_a_signature(managed, kind):
    client = managed.client()
    if kind != AttestationType.TPM:  # of a policy that was never set, the SDK cannot read an empty payload
        assert client.get_policy(kind)[0].startswith("version= 1.1;")
    result, token = client.set_policy(kind, POLICY)
    assert result.policy_resolution == "Updated" and result.policy_signer is None
    assert claims_of(token) == {
        "x-ms-policy-result": "Updated",
        "x-ms-policy-token-hash": TOKEN_HASH_WITH_SPACES,
    }
    text, token = client.get_policy(kind)
    assert text == POLICY
    # The policy comes back as it was sent, to the byte.
    assert claims_of(token) == {"x-ms-policy": AttestationPolicyToken(POLICY).to_jwt_string()}
    reset, token = client.reset_policy(kind)
    assert reset.policy_resolution == "Removed"
    assert claims_of(token) == {"x-ms-policy-result": "Removed"}


def test_a_machine_is_challenged_once_there_is_a_policy(managed):
    """What the SDK's own tests send first, and all that they send."""
    with AttestationClient(
        managed.uri(), Credential(managed.token(role="reader")), connection_verify=str(managed.service.ca)
    ) as client:
        init = json.dumps({"payload": {"type": "aikcert"}})
        assert "policy has not been set" in refused(lambda: client.attest_tpm(init), "InvalidOperation").message
        managed.client().set_policy(AttestationType.TPM, POLICY)
        payload = json.loads(client.attest_tpm(init))["payload"]
        assert sorted(payload) == ["challenge", "service_context"] and len(payload["challenge"]) == 22
        managed.client().reset_policy(AttestationType.TPM)
        refused(lambda: client.attest_tpm(init), "InvalidOperation")
    with AttestationClient(managed.uri(), Credential("a.b.c"), connection_verify=str(managed.service.ca)) as client:
        with pytest.raises(ClientAuthenticationError):
            client.attest_tpm(init)


@pytest.mark.parametrize("provider", ["default", "isolated"])
def test_get_set_and_reset_with_a_signature(managed, signer, provider):
    client = managed.client(provider)
    sent = AttestationPolicyToken(POLICY, **signer.keywords()).to_jwt_string()
    result, token = client.set_policy(SGX, POLICY, **signer.keywords())
    assert result.policy_resolution == "Updated" and len(result.policy_signer.certificates) == 1
    assert claims_of(token) == {
        "x-ms-policy-result": "Updated",
        "x-ms-policy-signer": {"alg": "RS256", "kty": "RSA", "use": "sig", "x5c": signer.x5c},
        # The signature is the same each time, so the whole JWS is.
        "x-ms-policy-token-hash": token_hash(sent),
    }
    text, token = client.get_policy(SGX)
    assert text == POLICY and claims_of(token) == {"x-ms-policy": sent}
    reset, token = client.reset_policy(SGX, **signer.keywords())
    assert reset.policy_resolution == "Removed" and claims_of(token) == {"x-ms-policy-result": "Removed"}
    assert client.get_policy(SGX)[0].startswith("version= 1.1;")


def test_certificates_are_added_and_removed(managed, signer):
    client = managed.client("isolated", **signer.keywords())
    assert len(client.get_policy_management_certificates()[0]) == 1
    for other in (Signer("Another"), Signer("NewCertificateName", is_ca=False)):
        for _ in range(2):
            added, token = client.add_policy_management_certificate(other.certificate)
            assert (added.certificate_resolution, added.certificate_thumbprint) == ("IsPresent", other.thumbprint)
            assert claims_of(token) == {
                "x-ms-certificate-thumbprint": other.thumbprint,
                "x-ms-policycertificates-result": "IsPresent",
            }
        certificates, token = client.get_policy_management_certificates()
        assert len(certificates) == 2
        keys = claims_of(token)["x-ms-policy-certificates"]["keys"]
        assert [key["x5c"] for key in keys] == [signer.x5c, other.x5c]
        assert all((key["alg"], key["kty"], key["use"]) == ("RS256", "RSA", "sig") for key in keys)
        for _ in range(2):
            removed, _ = client.remove_policy_management_certificate(other.certificate)
            assert (removed.certificate_resolution, removed.certificate_thumbprint) == ("IsAbsent", other.thumbprint)
    assert managed.client().get_policy_management_certificates()[0] == []


def test_an_added_signer_signs_and_a_removed_one_does_not(managed, signer):
    other = Signer("Second")
    client = managed.client("isolated")
    refused(lambda: client.set_policy(SGX, POLICY, **other.keywords()), "InvalidParameter")
    client.add_policy_management_certificate(other.certificate, **signer.keywords())
    assert client.set_policy(SGX, POLICY, **other.keywords())[0].policy_resolution == "Updated"
    client.remove_policy_management_certificate(other.certificate, **signer.keywords())
    refused(lambda: client.set_policy(SGX, POLICY, **other.keywords()), "InvalidParameter")
    refused(lambda: client.reset_policy(SGX, **other.keywords()), "InvalidParameter")
    # What it signed stays in force.
    assert client.get_policy(SGX)[0] == POLICY
    client.reset_policy(SGX, **signer.keywords())


@pytest.mark.parametrize("provider, signs", [("default", False), ("default", True), ("isolated", True)])
def test_a_policy_decides_about_evidence(managed, signer, json_quote, json_report, provider, signs):
    """Attestation follows a change at once, for its own attestation type only."""
    client = managed.client(provider)
    keywords = signer.keywords() if signs else {}

    def verdict(item=json_quote):
        answer = managed.attest(provider, item)
        return decode(answer.token)[1] if answer.status == 200 else answer.error["code"]

    before = verdict()
    assert before["x-ms-policy-hash"] == DEFAULT_SGX_HASH and "x-ms-policy-signer" not in before
    assert before["product-id"] == json_quote.claims["x-ms-sgx-product-id"] and "product" not in before

    client.set_policy(SGX, RENAMING, **keywords)
    renamed = verdict()
    assert renamed["product"] == json_quote.claims["x-ms-sgx-product-id"] and "product-id" not in renamed
    assert renamed["x-ms-policy-hash"] == policy_hash(RENAMING)
    if signs:
        key = renamed["x-ms-policy-signer"]
        assert (key["kty"], key["x5c"]) == ("RSA", signer.x5c)
    else:
        assert "x-ms-policy-signer" not in renamed
    assert verdict(json_report)["x-ms-policy-hash"] == DEFAULT_SGX_HASH

    client.set_policy(SGX, DENYING, **keywords)
    assert verdict() == "PolicyEvaluationError"
    assert verdict(json_report)["x-ms-policy-hash"] == DEFAULT_SGX_HASH
    # A change that is refused changes nothing.
    refused(lambda: client.set_policy(SGX, "version=1.0;[", **keywords), "PolicyParsingError")
    assert verdict() == "PolicyEvaluationError"

    client.set_policy(SGX, POLICY, **keywords)
    assert verdict()["x-ms-policy-hash"] == POLICY_HASH
    client.reset_policy(SGX, **keywords)
    after = verdict()
    assert after["x-ms-policy-hash"] == DEFAULT_SGX_HASH and after["product-id"] == before["product-id"]


def test_an_explanation_of_a_denial_does_not_disturb_the_sdk(managed, json_quote):
    """Where the provider allows it, the error says which rule denied; elsewhere it does not."""
    for provider, explains in (("explaining", True), ("default", False)):
        admin = managed.client(provider)
        admin.set_policy(SGX, DENYING)
        options = {"connection_verify": str(managed.service.ca)}
        client = AttestationClient(managed.uri(provider), Credential("a.b.c"), **options)
        error = refused(lambda: client.attest_sgx_enclave(json_quote.evidence), "PolicyEvaluationError")
        assert error.error.message and bool(error.error.details) == explains, error.error
        body = managed.attest(provider, json_quote).error
        assert ("details" in body) == explains
        if explains:
            print(json.dumps(body)[:1200])
            assert "authorizationrules" in json.dumps(body["details"])
        admin.reset_policy(SGX)


def test_refusals_arrive_as_the_sdk_names_them(managed, signer):
    default, isolated = managed.client(), managed.client("isolated")
    refused(lambda: isolated.set_policy(SGX, POLICY), "InvalidOperation")
    refused(lambda: isolated.reset_policy(SGX), "InvalidOperation")
    refused(lambda: isolated.set_policy(SGX, POLICY, **Signer("Stranger").keywords()), "InvalidParameter")
    # Of the same name, and another key.
    refused(lambda: isolated.set_policy(SGX, POLICY, **Signer("IsolatedSigner").keywords()), "InvalidParameter")
    unfit = Signer("MyPolicySigner", is_ca=False)
    error = refused(lambda: default.set_policy(SGX, POLICY, **unfit.keywords()), "InvalidParameter")
    assert "Unable to find issuer certificate CN=MyPolicySigner" in str(error)
    refused(lambda: default.set_policy(SGX, "version=1.0;["), "PolicyParsingError")
    last = lambda: isolated.remove_policy_management_certificate(signer.certificate, **signer.keywords())
    refused(last, "InvalidOperation")
    stranger = Signer("Stranger")
    add = lambda: isolated.add_policy_management_certificate(stranger.certificate, **stranger.keywords())
    refused(add, "InvalidParameter")
    for client in (default.add_policy_management_certificate, default.remove_policy_management_certificate):
        refused(lambda: client(signer.certificate, **signer.keywords()), "InvalidOperation")
    assert [len(chain) for chain in isolated.get_policy_management_certificates()[0]] == [1]


def test_roles(managed, signer):
    """A Reader reads. Without the role, as with no token that counts, a call is answered 401."""
    for provider in ("default", "isolated"):
        reader = managed.client(provider, role="reader")
        reader.get_policy(SGX)
        reader.get_policy_management_certificates()
        keywords = signer.keywords()
        writes = [
            lambda: reader.set_policy(SGX, POLICY, **keywords),
            lambda: reader.reset_policy(SGX, **keywords),
            lambda: reader.add_policy_management_certificate(signer.certificate, **keywords),
            lambda: reader.remove_policy_management_certificate(signer.certificate, **keywords),
        ]
        other = managed.client(provider, token=managed.token("isolated" if provider == "default" else "default"))
        nobody = managed.client(provider, token="a.b.c")
        for call in [*writes, *(lambda who=who: who.get_policy(SGX) for who in (other, nobody))]:
            assert isinstance(refused(call, "Unauthorized", 401), ClientAuthenticationError)
        assert reader.get_policy(SGX)[0].startswith("version= 1.1;")


def test_a_policy_that_is_no_token_is_refused(managed):
    """What portals wrap for their users: policy text. And tokens that are cut, changed or signed by nobody."""
    token, good = managed.token(), AttestationPolicyToken(POLICY).to_jwt_string()
    header, payload, _ = good.split(".")
    signed = b64url(b'{"alg":"RS256"}')
    for body in ("", POLICY, f"{header}.{payload}", f"{good}AA", f"{signed}.{payload}.AA", f"{header}.e30.", f"{header}.AA."):
        for path in ("/policies/SgxEnclave", "/policies/SgxEnclave:reset"):
            method = "POST" if path.endswith("reset") else "PUT"
            headers = {"Content-Type": "text/plain"}
            answer = managed.request("default", token, method, f"{path}?api-version=2020-10-01", body, headers)
            assert answer.status == 400 and answer.error["code"], (path, body, answer.body)
    assert managed.client().get_policy(SGX)[0].startswith("version= 1.1;")


def test_the_validators_of_the_sdk_notice_what_is_wrong(managed):
    """The checks above mean something only if the SDK's validators can fail."""
    with pytest.raises(AttestationTokenValidationException):
        managed.client(issuer="https://elsewhere.example").get_policy(SGX)


async def asyncio_steps(uri, token, keywords):
    async with AsyncAttestationAdministrationClient(uri, AsyncCredential(token), validate_issuer=True, issuer=uri) as client:
        assert (await client.set_policy(SGX, POLICY, **keywords))[0].policy_resolution == "Updated"
        assert (await client.get_policy(SGX))[0] == POLICY
        assert (await client.reset_policy(SGX, **keywords))[0].policy_resolution == "Removed"
        return len((await client.get_policy_management_certificates())[0])


def in_asyncio(*args):
    return asyncio.run(asyncio_steps(*args))


def test_the_asyncio_client(managed, signer, monkeypatch):
    """In a process of its own: its transport reads SSL_CERT_FILE once in the life of a process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(managed.service.ca))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for provider, keywords, certificates in (("default", {}, 0), ("isolated", signer.keywords(), 1)):
            steps = process.submit(in_asyncio, managed.uri(provider), managed.token(provider), keywords)
            assert steps.result(60) == certificates


def test_the_javascript_client(managed, signer, tmp_path):
    program = [node_with("@azure/attestation"), Path(__file__).parent / "management.mjs"]
    another, curve = Signer("Another"), Signer("Elliptic", curve=ec.SECP256R1)
    files = {
        "signer.key": signer.key,
        "signer.pem": signer.certificate,
        "another.pem": another.certificate,
        "curve.key": curve.key,
        "curve.pem": curve.certificate,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    item = evidence.named("sdk-test-quote") if evidence.present() else None
    env = os.environ | {
        "ANOTHER_THUMBPRINT": another.thumbprint,
        "CURVE_THUMBPRINT": curve.thumbprint,
        "DEFAULT_READER_TOKEN": managed.token(role="reader"),
        "DEFAULT_TOKEN": managed.token(),
        "DEFAULT_URI": managed.uri(),
        "FILES": str(tmp_path),
        "EXPLAINING_TOKEN": managed.token("explaining"),
        "EXPLAINING_URI": managed.uri("explaining"),
        "ISOLATED_TOKEN": managed.token("isolated"),
        "ISOLATED_URI": managed.uri("isolated"),
        "NODE_EXTRA_CA_CERTS": str(managed.service.ca),
        "QUOTE": b64url(item.evidence) if item else "",
        "KNOWN": json.dumps({"deny": DENYING, "policyHash": POLICY_HASH, "defaultHash": DEFAULT_SGX_HASH}),
    }
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert "all steps done" in done.stdout


def test_the_preview_of_2018_sets_a_policy_in_two_steps(managed, signer):
    """Answers are bare JSON strings, and a policy stands in its JWS as plain text."""
    contributor, reader = managed.token(), managed.token(role="reader")

    def operation(method, path, body=None, token=contributor, version="2018-09-01-preview"):
        headers = {"Content-Type": "text/plain"}
        path = f"/operations/policy/{path}{'&' if '?' in path else '?'}api-version={version}"
        return managed.request("default", token, method, path, body, headers)

    def claims(answer):
        assert answer.status == 200, answer.body
        return decode(answer.json())[1]

    payload = b64url(json.dumps({"AttestationPolicy": POLICY}).encode())
    jws = f"eyJhbGciOiJub25lIn0.{payload}."
    prepared = operation("POST", "updatepolicy?tee=SgxEnclave", jws)
    assert claims(prepared)["maa-policyHash"] == hashlib.sha256(POLICY.encode()).hexdigest()
    # Nothing is set yet, and what was prepared for one type is not set for another.
    assert managed.client().get_policy(SGX)[0] != POLICY
    assert operation("PUT", "current?tee=OpenEnclave", prepared.json()).status == 400
    for token in (reader, managed.token("isolated"), "a.b.c", None):
        assert operation("PUT", "current?tee=SgxEnclave", prepared.json(), token).status == 401
    # Nor is what the caller has made, or a token that is for something else.
    policy_answer = managed.request("default", contributor, "GET", "/policies/SgxEnclave?api-version=2020-10-01")
    for other in (jws, policy_answer.token):
        assert operation("PUT", "current?tee=SgxEnclave", other).status == 400
    assert managed.client().get_policy(SGX)[0] != POLICY

    assert operation("PUT", "current?tee=SgxEnclave", prepared.json()).status == 200
    current = operation("GET", "current?tee=SgxEnclave", token=reader)
    assert jws in json.dumps(claims(current) if isinstance(current.json(), str) else current.json())
    assert operation("POST", "current?tee=SgxEnclave", "eyJhbGciOiJub25lIn0..", reader).status == 401
    assert operation("POST", "current?tee=SgxEnclave", "eyJhbGciOiJub25lIn0..").status == 200
    assert managed.client().get_policy(SGX)[0].startswith("version= 1.1;")
    assert operation("GET", "current?tee=SgxEnclave", version="2020-10-01").status == 404


def test_tcb_baselines_are_for_readers(managed):
    path = "/tcbbaselines/SgxEnclave?api-version=2025-06-01"
    assert managed.request("default", None, "GET", path).status == 401
    answer = managed.request("default", managed.token(role="reader"), "GET", path)
    assert answer.status == 200, answer.body
    baselines = answer.json()["tcbBaselines"]
    # The provider's own, which has no number unless it is configured, and the published ones.
    numbers = [b["tcbEvaluationDataNumber"] for b in baselines if b["tcbIdentifier"] != "azuredefault"]
    assert numbers == [15, 14, 13, 12, 11, 10]
    selected = [b["tcbIdentifier"] for b in baselines if b["isSelectedTcb"]]
    assert selected == ["azuredefault"], baselines
