"""Two JOSE libraries that know nothing of us check a token with the key that discovery finds."""

import json
import urllib.request

import jwt
import pytest
from joserfc import jwk, jwt as joserfc_jwt

from harness import b64url, decode


def fetch(service, url):
    with urllib.request.urlopen(url, context=service.tls(), timeout=30) as answer:
        return json.loads(answer.read())


@pytest.fixture
def token(service, json_quote):
    runtime = {"data": b64url(json_quote.runtime), "dataType": "JSON"}
    return service.attest(json_quote, runtimeData=runtime, nonce="n-1").token


def tampered(token):
    """The same token with one more privilege."""
    header, _, signature = token.split(".")
    claims = decode(token)[1] | {"x-ms-sgx-is-debuggable": True}
    return f"{header}.{b64url(json.dumps(claims, separators=(',', ':'), sort_keys=True).encode())}.{signature}"


def test_pyjwt_by_discovery_alone(service, token):
    metadata = fetch(service, f"{service.uri}/.well-known/openid-configuration")
    keys = jwt.PyJWKClient(metadata["jwks_uri"], ssl_context=service.tls())
    algorithms = metadata["id_token_signing_alg_values_supported"]

    def verify(token):
        key = keys.get_signing_key_from_jwt(token)
        options = {"require": ["exp", "iat", "nbf", "iss"]}
        return jwt.decode(token, key, algorithms=algorithms, issuer=metadata["issuer"], options=options)

    claims = verify(token)
    assert claims["nonce"] == "n-1" and claims["exp"] - claims["iat"] == 28800
    with pytest.raises(jwt.InvalidSignatureError):
        verify(tampered(token))
    print(f"PyJWT {jwt.__version__}: verified {len(claims)} claims of {claims['iss']} with {algorithms}")


def test_joserfc_by_discovery_alone(service, token):
    metadata = fetch(service, f"{service.uri}/.well-known/openid-configuration")
    keys = jwk.KeySet.import_key_set(fetch(service, metadata["jwks_uri"]))
    algorithms = metadata["id_token_signing_alg_values_supported"]
    verified = joserfc_jwt.decode(token, keys, algorithms=algorithms)
    joserfc_jwt.JWTClaimsRegistry(iss={"essential": True, "value": metadata["issuer"]}).validate(verified.claims)
    with pytest.raises(Exception, match="bad_signature"):
        joserfc_jwt.decode(tampered(token), keys, algorithms=algorithms)
    print(f"joserfc: verified {len(verified.claims)} claims, header {verified.header}")


def test_metadata_is_sound(service):
    """OpenID Connect Discovery 1.0: what is required is there, and nothing that does not exist."""
    metadata = fetch(service, f"{service.uri}/.well-known/openid-configuration")
    for member in ["issuer", "jwks_uri", "response_types_supported", "id_token_signing_alg_values_supported"]:
        assert metadata[member], member
    for endpoint in [m for m in metadata if m.endswith("_endpoint")]:
        answer = service.request("GET", metadata[endpoint].removeprefix(service.uri))
        assert answer.status != 404, f"{endpoint} is advertised but not there"
    for key in fetch(service, metadata["jwks_uri"])["keys"]:
        assert {"kty", "kid", "x5c"} <= set(key), sorted(key)
        assert key.get("use", "sig") == "sig"
        assert not {"d", "p", "q", "k"} & set(key), "a private member is published"
    print(f"metadata: {sorted(metadata)}")


def test_a_foreign_host_header_changes_nothing(service, json_quote):
    def seen(headers):
        attested = service.attest(json_quote, headers=headers, runtimeData={"data": b64url(json_quote.runtime)})
        metadata = service.request("GET", "/.well-known/openid-configuration", headers=headers)
        header, claims = decode(attested.token)
        for changing in ["jti", "iat", "nbf", "exp"]:
            claims.pop(changing)
        return header, claims, metadata.json()

    mine = seen({})
    assert mine[1]["iss"] == service.uri and mine[0]["jku"] == f"{service.uri}/certs"
    for foreign in [
        {"Host": "evil.example"},
        {"Host": "sharedeus.eus.attest.azure.net:443"},
        {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example;proto=http", "X-Forwarded-Proto": "http"},
    ]:
        assert seen(foreign) == mine, foreign
    print(f"token and metadata name {mine[1]['iss']} whatever Host says")
