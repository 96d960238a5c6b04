"""The published Azure Attestation SDK for Python, unmodified, against a running service.

It reaches us as it reaches Azure: HTTPS with `REQUESTS_CA_BUNDLE` (the asyncio client:
`SSL_CERT_FILE`), a bearer token that it believes in, `api-version=2020-10-01`. Every token goes
through the SDK's own validation.
"""

import asyncio
import json

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.security.attestation import (
    AttestationAdministrationClient,
    AttestationClient,
    AttestationTokenValidationException,
    AttestationType,
)
from azure.security.attestation.aio import AttestationClient as AsyncAttestationClient

import evidence
from harness import decode

DRAFT = (
    "version=1.0; authorizationrules{=> permit();}; "
    'issuancerules{c:[type=="x-ms-sgx-mrsigner"] => issue(type="custom-name", value=c.value);};'
)


class FakeCredential:
    """A credential that knows one token: attestation needs none, but the SDK insists on sending it."""

    def get_token(self, *scopes, **_):
        return AccessToken("a.b.c", 4102444800)


class AsyncFakeCredential(FakeCredential):
    async def get_token(self, *scopes, **_):
        return AccessToken("a.b.c", 4102444800)

    async def close(self):
        pass


@pytest.fixture
def client(services, monkeypatch):
    """Makes an SDK client for the service that accepts an item."""

    def of(item, **options):
        service = services(item)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.ca))
        return AttestationClient(service.uri, FakeCredential(), **options)

    return of


def attest(client, item, **options):
    if item.kind == "SgxEnclave":
        return client.attest_sgx_enclave(item.evidence, **options)
    return client.attest_open_enclave(item.evidence, **options)


def check_claims(item, result, token):
    """The claims as the SDK reads them, and as they stand in the token."""
    _, claims = decode(token.to_jwt_string())
    for name, value in item.claims.items():
        assert claims[name] == value and type(claims[name]) is type(value), name
    assert result.mr_enclave == item.claims["x-ms-sgx-mrenclave"]
    assert result.mr_signer == item.claims["x-ms-sgx-mrsigner"]
    assert result.product_id == item.claims["x-ms-sgx-product-id"]
    assert result.svn == item.claims["x-ms-sgx-svn"]
    assert result.is_debuggable == item.claims["x-ms-sgx-is-debuggable"]
    assert result.verifier_type == "sgx"
    assert result.version == "1.0"
    assert len(result.unique_id) == 64


@pytest.mark.parametrize("item", evidence.sdk_items(), ids=str)
def test_real_evidence_with_binary_runtime_data(client, services, item):
    seen = []
    result, token = attest(
        client(item),
        item,
        runtime_data=item.runtime,
        validate_issuer=True,
        issuer=services(item).uri,
        validation_callback=lambda token, signer: seen.append(signer),
    )
    check_claims(item, result, token)
    assert result.enclave_held_data == item.runtime
    assert result.runtime_claims is None
    assert token.algorithm == "RS256"
    assert len(seen) == 1 and seen[0].key_id == token.key_id, "the SDK found the signer by kid"
    print(f"{item.kind} {item.name}: {len(token.to_jwt_string())}-byte token, signer {seen[0].key_id}")


@pytest.mark.parametrize("item", [i for i in evidence.sdk_items() if i.runtime_is_json], ids=str)
def test_real_evidence_with_json_runtime_data(client, services, item):
    result, token = attest(
        client(item), item, runtime_json=item.runtime, validate_issuer=True, issuer=services(item).uri
    )
    check_claims(item, result, token)
    assert result.runtime_claims == json.loads(item.runtime)
    assert result.enclave_held_data is None
    print(f"{item.name}: x-ms-runtime {result.runtime_claims}")


@pytest.mark.parametrize("item", evidence.manifest_items(), ids=str)
def test_captured_evidence_under_its_endorsements(client, services, item):
    result, token = attest(client(item), item, validate_issuer=True, issuer=services(item).uri)
    check_claims(item, result, token)
    assert result.runtime_claims is None and result.enclave_held_data is None
    print(f"{item.name} at {item.endorsed.at} ({item.tcb_status}): token of {len(token.to_jwt_string())} bytes")


@pytest.mark.parametrize("data_type", ["binary", "json"])
def test_wrong_runtime_data_is_refused(client, json_quote, data_type):
    wrong = {"runtime_data": b"not what the enclave hashed"} if data_type == "binary" else {"runtime_json": b'{"a":1}'}
    with pytest.raises(HttpResponseError) as refused:
        attest(client(json_quote), json_quote, **wrong)
    assert refused.value.status_code == 400
    assert refused.value.error.code == "InvalidParameter"
    message = refused.value.error.message
    assert "runtime data" in message.lower() and "report data" in message.lower(), message
    print(f"refused: {message}")


def test_json_runtime_data_must_be_json(client, json_quote):
    # The SDK itself checks `runtime_json`; sent as Binary the same bytes are fine.
    with pytest.raises(ValueError):
        attest(client(json_quote), json_quote, runtime_json=b"{")


def test_empty_init_time_data_of_the_sdk_is_absent(client, json_quote):
    """`inittime_json` reaches us as `{"dataType": "JSON"}` without data, a defect of the SDK."""
    result, _ = attest(client(json_quote), json_quote, runtime_data=json_quote.runtime, inittime_json=b'{"a":1}')
    assert result.inittime_claims is None


def test_draft_policy_gives_an_unsecured_token(client, json_report):
    result, token = attest(client(json_report), json_report, runtime_json=json_report.runtime, draft_policy=DRAFT)
    header, claims = decode(token.to_jwt_string())
    assert token.algorithm == "none" and token.to_jwt_string().endswith(".")
    assert sorted(header) == ["alg", "jku", "kid", "typ"]
    assert claims["custom-name"] == json_report.claims["x-ms-sgx-mrsigner"]
    assert result.policy_claims == {"custom-name": claims["custom-name"]}
    assert "is-debuggable" not in claims, "the default policy's claims vanish with it"
    print(f"draft: header {header}, custom-name {claims['custom-name'][:16]}…")


def test_draft_policy_that_denies(client, json_report):
    with pytest.raises(HttpResponseError) as denied:
        attest(client(json_report), json_report, draft_policy="version=1.0; authorizationrules{=> deny();}; issuancerules{};")
    assert denied.value.status_code == 400 and denied.value.error.code == "PolicyEvaluationError"
    print(f"denied: {denied.value.error.message}")


def test_draft_policy_that_does_not_parse(client, json_report):
    with pytest.raises(HttpResponseError) as refused:
        attest(client(json_report), json_report, draft_policy="version=1.0; authorizationrules{[")
    assert refused.value.status_code == 400 and refused.value.error.code == "PolicyParsingError"
    print(f"refused: {refused.value.error.message}")


def test_validators_of_the_sdk_notice_what_is_wrong(client, json_quote):
    """The checks above mean something only if the SDK's validators can fail."""
    with pytest.raises(AttestationTokenValidationException):
        attest(client(json_quote), json_quote, validate_issuer=True, issuer="https://elsewhere.example")

    def refuse(token, signer):
        raise ValueError("refused by the caller")

    with pytest.raises(ValueError, match="refused by the caller"):
        attest(client(json_quote), json_quote, validation_callback=refuse)


def test_metadata_and_signers(client, services, json_quote):
    uri = services(json_quote).uri
    metadata = client(json_quote).get_open_id_metadata()
    assert metadata["issuer"] == uri
    assert metadata["jwks_uri"] == f"{uri}/certs"
    assert "response_types_supported" in metadata
    signers = client(json_quote).get_signing_certificates()
    assert signers and all(s.key_id and s.certificates for s in signers)
    assert signers[0].certificates[0].startswith("-----BEGIN CERTIFICATE-----")
    print(f"issuer {metadata['issuer']}, {len(signers)} signers, first {signers[0].key_id}")


def test_a_client_that_sends_no_evidence(client, json_quote):
    with pytest.raises(HttpResponseError) as refused:
        client(json_quote).attest_sgx_enclave(b"")
    assert refused.value.status_code == 400, refused.value
    print(f"refused: {refused.value.error.message}")


def test_evidence_that_is_not_genuine(client, json_quote):
    forged = bytearray(json_quote.evidence)
    forged[48 + 64] ^= 1  # MRENCLAVE, first bit
    with pytest.raises(HttpResponseError) as refused:
        client(json_quote).attest_sgx_enclave(bytes(forged))
    assert refused.value.status_code == 400 and refused.value.error.code == "InvalidParameter"
    print(f"refused: {refused.value.error.message}")


def test_policy_calls_fail_in_a_way_the_sdk_understands(services, json_quote, monkeypatch):
    """Policy management is closed to callers whose token nobody vouches for: 401, not a wrong answer."""
    service = services(json_quote)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.ca))
    admin = AttestationAdministrationClient(service.uri, FakeCredential())
    with pytest.raises(HttpResponseError) as refused:
        admin.get_policy(AttestationType.SGX_ENCLAVE)
    assert refused.value.status_code in (401, 404), refused.value
    if refused.value.status_code == 401:
        assert isinstance(refused.value, ClientAuthenticationError)
    assert refused.value.error is not None, "an error envelope, not an empty answer"
    print(f"get_policy: {refused.value.status_code} {refused.value.error.code}: {refused.value.error.message}")


def test_asyncio_client(services, json_quote, monkeypatch):
    service = services(json_quote)
    monkeypatch.setenv("SSL_CERT_FILE", str(service.ca))

    async def go():
        async with AsyncAttestationClient(service.uri, AsyncFakeCredential()) as client:
            return await client.attest_sgx_enclave(
                json_quote.evidence, runtime_json=json_quote.runtime, validate_issuer=True, issuer=service.uri
            )

    result, token = asyncio.run(go())
    check_claims(json_quote, result, token)
    assert result.runtime_claims == json.loads(json_quote.runtime)
    print(f"asyncio: {len(token.to_jwt_string())}-byte token")
