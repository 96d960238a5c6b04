"""What any HTTP client may send us, good and bad, and what it gets back."""

import base64
import json

import pytest

from harness import b64url, decode

VERSIONS = ["2020-10-01", "2022-08-01", "2022-09-01-preview", "2023-04-01-preview", "2025-06-01", "2026-03-11-preview"]
ATTEST = "/attest/SgxEnclave?api-version=2020-10-01"
JSON = {"Content-Type": "application/json"}


def refused(answer, status, *words, code=None):
    """An error answer in Azure's envelope whose message says what was wrong."""
    assert answer.status == status, (answer.status, answer.body[:600])
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    assert answer.headers["x-ms-request-id"]
    error = answer.error
    assert error["code"] and error["message"], error
    if code:
        assert error["code"] == code, error
    for word in words:
        assert word.lower() in error["message"].lower(), (word, error["message"])
    print(f"{answer.status} {error['code']}: {error['message'][:240]}")
    return error


@pytest.mark.parametrize("version", VERSIONS)
def test_every_api_version(service, json_quote, version):
    header, claims = decode(service.attest(json_quote, version=version).token)
    assert header == {"alg": "RS256", "jku": f"{service.uri}/certs", "kid": header["kid"], "typ": "JWT"}
    assert claims["iss"] == service.uri
    print(f"{version}: {len(claims)} claims")


def test_answers_carry_what_clients_log(service, json_quote):
    answer = service.attest(json_quote, headers={"x-ms-client-request-id": "11111111-2222-3333-4444-555555555555"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    for name in ["x-ms-request-id", "x-ms-maa-service-version", "Date"]:
        assert answer.headers[name], name
    print(dict(answer.headers))


@pytest.mark.parametrize(
    "path", ["/attest/sgxenclave", "/ATTEST/SGXENCLAVE", "/attest/SgxEnclave"], ids=["lower", "upper", "published"]
)
def test_paths_are_case_insensitive(service, json_quote, path):
    body = {"quote": b64url(json_quote.evidence)}
    assert service.request("POST", f"{path}?API-Version=2020-10-01", body).token


def test_bodies_as_lenient_as_real_clients_need(service, json_quote):
    evidence, runtime = json_quote.evidence, json_quote.runtime
    padded = base64.urlsafe_b64encode(evidence).decode()
    standard = base64.b64encode(evidence).decode()
    data = b64url(runtime)
    for body in [
        {"Quote": padded, "RuntimeData": {"Data": data, "DataType": "binary"}},
        {"QUOTE": standard, "runtimeData": {"data": base64.b64encode(runtime).decode()}},
        {"quote": padded, "initTimeData": None, "draftPolicyForAttestation": None, "runtimeData": None},
        {"quote": padded, "initTimeData": {"data": "", "dataType": ""}, "runtimeData": {"data": "", "dataType": "JSON"}},
        {"quote": padded, "initTimeData": {"dataType": "JSON"}},
        {"quote": padded, "somethingNew": {"of": ["a", "later", "version"]}},
    ]:
        answer = service.request("POST", ATTEST, body)
        claims = decode(answer.token)[1]
        given = body.get("RuntimeData") or body.get("runtimeData") or {}
        bound = given.get("Data") or given.get("data")
        assert ("x-ms-sgx-ehd" in claims) == bool(bound)
        print(f"accepted {[k for k in body]}: ehd {'x-ms-sgx-ehd' in claims}")


@pytest.mark.parametrize("nonce,echoed", [("a text", "a text"), (18446744073709551615, 18446744073709551615)])
def test_nonce_is_echoed(service, json_quote, nonce, echoed):
    claims = decode(service.attest(json_quote, nonce=nonce).token)[1]
    assert claims["nonce"] == echoed
    print(f"nonce {nonce!r} -> {claims['nonce']!r}")


def test_claims_are_sorted_and_compact(service, json_quote):
    token = service.attest(json_quote, runtimeData={"data": b64url(json_quote.runtime), "dataType": "JSON"}).token
    for part in token.split(".")[:2]:
        text = base64.urlsafe_b64decode(part + "==").decode()
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    print("header and body are compact JSON in ASCII order at every level")


def test_open_enclave_and_its_quote_agree(service, json_quote, json_report):
    quote = decode(service.attest(json_quote).token)[1]
    report = decode(service.attest(json_report).token)[1]
    for claims in (quote, report):
        for changing in ["jti", "iat", "nbf", "exp"]:
            claims.pop(changing)
    differ = {name for name in quote.keys() | report.keys() if quote.get(name) != report.get(name)}
    assert differ == {"x-ms-sgx-collateral", "maa-attestationcollateral"}
    assert quote["x-ms-sgx-collateral"]["quotehash"] != report["x-ms-sgx-collateral"]["quotehash"]
    print("one enclave by both endpoints: only quotehash differs")


@pytest.mark.parametrize(
    "name,body,words",
    [
        ("empty", b"", []),
        ("not JSON", b"quote=AAAA", ["json"]),
        ("cut JSON", b'{"quote":"AAAA', ["json"]),
        ("an array", b"[]", []),
        ("not UTF-8", b'{"quote":"\xff\xfe"}', []),
        ("no quote", b"{}", ["quote"]),
        ("quote is null", b'{"quote":null}', ["quote"]),
        ("quote is empty", b'{"quote":""}', ["quote"]),
        ("quote is a number", b'{"quote":7}', ["quote"]),
        ("quote twice", b'{"quote":"AAAA","Quote":"BBBB"}', ["quote"]),
        ("not base64", b'{"quote":"%%%"}', ["quote", "base64"]),
        ("not a quote", b'{"quote":"AAAA"}', ["quote"]),
        ("runtime data is text", b'{"quote":"AAAA","runtimeData":"AAAA"}', ["runtimeData"]),
        ("unknown data type", b'{"quote":"AAAA","runtimeData":{"data":"AAAA","dataType":"XML"}}', ["dataType", "xml"]),
        ("nested deep", b'{"quote":' + b"[" * 100_000 + b"]" * 100_000 + b"}", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_bodies(service, name, body, words):
    refused(service.request("POST", ATTEST, body, JSON), 400, *words)


@pytest.mark.parametrize("cut", [1, 47, 48, 431, 432, 1000, 4579])
def test_truncated_quotes(service, json_quote, cut):
    body = {"quote": b64url(json_quote.evidence[:cut])}
    refused(service.request("POST", ATTEST, body), 400, code="InvalidParameter")


def test_a_quote_is_not_an_open_enclave_report(service, json_quote, json_report):
    answer = service.request("POST", "/attest/OpenEnclave?api-version=2020-10-01", {"report": b64url(json_quote.evidence)})
    refused(answer, 400, code="InvalidParameter")
    answer = service.request("POST", ATTEST, {"quote": b64url(json_report.evidence)})
    refused(answer, 400, code="InvalidParameter")


def test_a_body_of_20_mb(service):
    body = b'{"quote":"' + b"A" * (20 * 1024 * 1024) + b'"}'
    refused(service.request("POST", ATTEST, body, JSON), 413)
    assert service.request("GET", "/certs").status == 200, "the service goes on"


@pytest.mark.parametrize("version", ["2019-01-01", "latest", "2020-10-01'; --", ""])
def test_unknown_api_versions(service, json_quote, version):
    from urllib.parse import quote

    body = {"quote": b64url(json_quote.evidence)}
    answer = service.request("POST", f"/attest/SgxEnclave?api-version={quote(version)}", body)
    refused(answer, 400, "api-version")


def test_missing_api_version(service, json_quote):
    answer = service.request("POST", "/attest/SgxEnclave", {"quote": b64url(json_quote.evidence)})
    refused(answer, 400, "api-version")


@pytest.mark.parametrize("path", ["/attest/Nonsense", "/attest/", "/attest/SgxEnclave/more", "/nonsense"])
def test_unknown_attestation_types_and_routes(service, path):
    answer = service.request("POST", f"{path}?api-version=2020-10-01", {"quote": "AAAA"})
    assert answer.status in (400, 404)
    refused(answer, answer.status)


def test_wrong_method(service):
    answer = service.request("GET", ATTEST)
    assert answer.status in (404, 405)
    refused(answer, answer.status)


def test_legacy_api_version_wants_the_callers_token(service, json_quote):
    """2018-09-01-preview fails closed: no token issuer is configured here, so nobody gets in."""
    body = {"Quote": b64url(json_quote.evidence), "EnclaveHeldData": b64url(json_quote.runtime)}
    for headers in [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic dXNlcjpwYXNz"}]:
        answer = service.request("POST", "/attest/SgxEnclave?api-version=2018-09-01-preview", body, headers)
        refused(answer, 401, code="Unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_wrong_runtime_data_says_so(service, json_quote):
    answer = service.attest(json_quote, runtimeData={"data": b64url(b"something else"), "dataType": "Binary"})
    refused(answer, 400, "runtime data", "report data", code="InvalidParameter")


def test_json_runtime_data_that_is_not_json(service, binary_quote):
    answer = service.attest(binary_quote, runtimeData={"data": b64url(binary_quote.runtime), "dataType": "JSON"})
    refused(answer, 400, "json", code="InvalidParameter")


def test_metadata_needs_no_version_and_no_token(service):
    for headers in [{}, {"Authorization": "Bearer rubbish"}]:
        for path in ["/certs", "/.well-known/openid-configuration"]:
            for query in ["", "?api-version=2020-10-01"]:
                answer = service.request("GET", path + query, headers=headers)
                assert answer.status == 200, (path, answer.body)
                assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    print("metadata and keys are anonymous, with and without api-version")


def test_nothing_secret_is_logged(service, json_quote):
    """Runs a good and a bad request with recognisable content, then reads the service's whole log."""
    marker = "canary-" + "q" * 24
    runtime = {"data": b64url(json_quote.runtime), "dataType": "JSON"}
    headers = {"Authorization": f"Bearer {marker}"}
    token = service.attest(json_quote, headers=headers, runtimeData=runtime, nonce=marker).token
    service.request("POST", ATTEST, json.dumps({"quote": marker}).encode(), JSON | headers)
    service.request("POST", ATTEST + f"&secret={marker}", b"{", JSON | headers)
    log = service.stderr()
    evidence = b64url(json_quote.evidence)
    for what, secret in [
        ("token", token.split(".")[2]),
        ("claims", token.split(".")[1][:80]),
        ("evidence", evidence[200:280]),
        ("runtime data", runtime["data"][:60]),
        ("credential, nonce or query", marker),
    ]:
        assert secret not in log, f"{what} stands in the log"
    print(f"{len(log.splitlines())} log lines, none with token, evidence, runtime data, credential or nonce")
