"""Callers with access tokens of a certified OpenID provider (the npm package oidc-provider) manage policies.

The service finds the provider's keys by discovery, over TLS, or has them in a file. One service holds a provider
for each way of mapping claims to roles. The tests run in their order: the last ones rotate the keys, end the
OpenID provider and start it anew.
"""

import base64
import datetime
import ipaddress
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.security.attestation import AttestationAdministrationClient, AttestationType
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import Service, b64url, run
from managing import POLICY, VERSION, node_with

AUDIENCE = "https://attest.example"
ENTRA_AUDIENCE = "https://attest.azure.net"
TENANT = "8b4d6a0e-3c57-4c0b-9d43-2f1f0c1f7a55"
# At most this long a key that an issuer has withdrawn, or has new, goes unnoticed when a token names it.
NOTICED_WITHIN_SECS = 25

CONFIGURATION = """
[endorsements]
pcs_urls = []

[[provider.access_token_issuers]]
issuer = "{base}"
audience = "https://attest.example"
discovery_url = "{base}/.well-known/openid-configuration"
ca_file = "idp-ca.pem"
readers = ["roles=Attestation Reader"]
contributors = ["roles=Attestation Contributor"]

[[providers]]
name = "groups"
path_prefix = "groups"
[[providers.access_token_issuers]]
issuer = "{base}"
audience = ["https://attest.example"]
discovery_url = "{base}/.well-known/openid-configuration"
ca_file = "idp-ca.pem"
readers = ["groups=attestation-readers"]
contributors = ["groups=attestation-admins"]

[[providers]]
name = "scopes"
path_prefix = "scopes"
[[providers.access_token_issuers]]
issuer = "{base}"
audience = ["https://unused.example", "https://attest.example"]
discovery_url = "{base}/.well-known/openid-configuration"
ca_file = "idp-ca.pem"
readers = ["scope=attest.read"]
contributors = ["scope=attest.write"]

[[providers]]
name = "entra"
path_prefix = "entra"
[[providers.access_token_issuers]]
preset = "entra"
tenant = "{tenant}"
discovery_url = "{base}/v2/.well-known/openid-configuration"
ca_file = "idp-ca.pem"

# An issuer on this machine needs no TLS.
[[providers]]
name = "plain"
path_prefix = "plain"
[[providers.access_token_issuers]]
issuer = "{plain}"
audience = "https://attest.example"
discovery_url = "{plain}/.well-known/openid-configuration"
readers = ["roles=Attestation Reader"]
contributors = ["roles=Attestation Contributor"]

[[providers]]
name = "air-gapped"
path_prefix = "air-gapped"
[[providers.access_token_issuers]]
issuer = "{base}"
audience = "https://attest.example"
jwks_file = "keys.json"
readers = ["roles=Attestation Reader"]
contributors = ["roles=Attestation Contributor"]

# Its certificate authority is not that of the provider's TLS certificate.
[[providers]]
name = "distrustful"
path_prefix = "distrustful"
[[providers.access_token_issuers]]
issuer = "{base}"
audience = "https://attest.example"
discovery_url = "{base}/.well-known/openid-configuration"
readers = ["roles=Attestation Reader"]

# What is discovered is of another issuer than the one that is trusted.
[[providers]]
name = "misdirected"
path_prefix = "misdirected"
[[providers.access_token_issuers]]
issuer = "{base}"
audience = "https://attest.example"
discovery_url = "{base}/v2/.well-known/openid-configuration"
ca_file = "idp-ca.pem"
readers = ["roles=Attestation Reader"]
"""


def tls_certificate(directory):
    """A certificate authority, and a key with its certificate for the loopback address."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def certificate(subject, key, issuer, issuer_key, extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    is_ca = [x509.BasicConstraints(ca=True, path_length=0)]
    (directory / "idp-ca.pem").write_bytes(certificate("CA", authority, "CA", authority, is_ca))
    (directory / "idp.pem").write_bytes(certificate("identity provider", key, "CA", authority, [address]))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "idp.key").write_bytes(key.private_bytes(*private))


class IdentityProvider:
    """The OpenID provider, a process of its own."""

    def __init__(self, directory):
        tls_certificate(directory)
        self.directory = directory
        self.log = directory / "idp.log"
        self.start()
        self.tls = ssl.create_default_context(cafile=str(directory / "idp-ca.pem"))

    def start(self, port=0):
        program = Path(__file__).parent / "oidc-provider" / "provider.mjs"
        command = [node_with("oidc-provider"), program, self.directory / "idp.key", self.directory / "idp.pem", TENANT, port]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=pipe, stdout=pipe, stderr=self.log.open("w"), text=True
        )
        started = self.line()
        self.base, self.plain = started["base"], started["plainBase"]

    def line(self):
        """The next line of our own; the package gives advice in between."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(self.log.read_text())

    def say(self, command):
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.line()

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def get(self, path):
        return urllib.request.urlopen(self.base + path, context=self.tls, timeout=10).read()

    def token(self, client, scope=None, resource=AUDIENCE, issuer=""):
        """An access token, by the client credentials grant (RFC 6749 §4.4) for a resource (RFC 8707)."""
        form = {"grant_type": "client_credentials", "resource": resource, **({"scope": scope} if scope else {})}
        base = self.plain if issuer == "plain" else self.base + issuer
        request = urllib.request.Request(f"{base}/token", urllib.parse.urlencode(form).encode())
        basic = base64.b64encode(f"{client}:secret".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        return json.load(urllib.request.urlopen(request, context=self.tls, timeout=10))["access_token"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("oidc")


@pytest.fixture(scope="module")
def idp(directory):
    idp = IdentityProvider(directory)
    yield idp
    idp.process.kill()


@pytest.fixture(scope="module")
def service(directory, idp):
    (directory / "keys.json").write_bytes(idp.get("/jwks"))
    (directory / "vouchsafe.toml").write_text(CONFIGURATION.format(base=idp.base, plain=idp.plain, tenant=TENANT))
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data") as service:
        yield service


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


def read(service, provider, token):
    return service.request("GET", f"{provider}/certificates?{VERSION}", headers=bearer(token))


def write(service, provider, token):
    payload = b64url(json.dumps({"AttestationPolicy": b64url(POLICY.encode())}).encode())
    return service.request("PUT", f"{provider}/policies/SgxEnclave?{VERSION}", f"eyJhbGciOiJub25lIn0.{payload}.", bearer(token))


def may(service, provider, token):
    """What a caller may do: read, write. What they may not is answered 401, as the API has it."""
    answers = read(service, provider, token), write(service, provider, token)
    for answer in answers:
        if answer.status != 200:
            assert (answer.status, answer.error["code"]) == (401, "Unauthorized"), answer.body
            assert answer.headers["WWW-Authenticate"].startswith("Bearer "), answer.headers.items()
    return tuple(answer.status == 200 for answer in answers)


NOTHING, READING, EVERYTHING = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    "provider, client, scope, expected",
    [
        ("", "nobody", None, NOTHING),
        ("", "role-reader", None, READING),
        ("", "role-contributor", None, EVERYTHING),
        ("", "group-contributor", None, NOTHING),
        ("", "scope-contributor", "attest.read attest.write", NOTHING),
        ("/groups", "group-reader", None, READING),
        ("/groups", "group-contributor", None, EVERYTHING),
        ("/groups", "role-contributor", None, NOTHING),
        ("/scopes", "scope-reader", "attest.read", READING),
        ("/scopes", "scope-contributor", "attest.read", READING),
        ("/scopes", "scope-contributor", "attest.read attest.write", EVERYTHING),
        ("/scopes", "scope-contributor", None, NOTHING),
        ("/scopes", "role-contributor", None, NOTHING),
        ("/air-gapped", "nobody", None, NOTHING),
        ("/air-gapped", "role-reader", None, READING),
        ("/air-gapped", "role-contributor", None, EVERYTHING),
    ],
)
def test_roles_come_from_roles_groups_and_scopes(service, idp, provider, client, scope, expected):
    assert may(service, provider, idp.token(client, scope)) == expected


@pytest.mark.parametrize("issuer", ["/v1", "/v2"])
def test_entra_tokens_of_both_versions(service, idp, issuer):
    def token(client, resource=ENTRA_AUDIENCE):
        return idp.token(client, resource=resource, issuer=issuer)

    assert may(service, "/entra", token("role-reader")) == READING
    assert may(service, "/entra", token("role-contributor")) == EVERYTHING
    assert may(service, "/entra", token("nobody")) == NOTHING
    assert may(service, "/entra", token("role-contributor", AUDIENCE)) == NOTHING
    assert may(service, "", token("role-contributor")) == NOTHING


def test_an_issuer_without_tls_on_this_machine(service, directory, idp):
    assert may(service, "/plain", idp.token("nobody", issuer="plain")) == NOTHING
    assert may(service, "/plain", idp.token("role-reader", issuer="plain")) == READING
    assert may(service, "/plain", idp.token("role-contributor", issuer="plain")) == EVERYTHING
    assert may(service, "/plain", idp.token("role-contributor")) == NOTHING
    assert may(service, "", idp.token("role-contributor", issuer="plain")) == NOTHING
    # On another machine it does.
    configuration = CONFIGURATION.format(base=idp.base, plain="http://login.example", tenant=TENANT)
    (directory / "elsewhere.toml").write_text(configuration)
    with pytest.raises(AssertionError, match="discovery_url"):
        Service("--config", directory / "elsewhere.toml", data_dir=directory / "data-3").start()


def test_expired_tokens(service, idp):
    """Tokens are valid for ten minutes; clocks may differ by one."""
    tokens = {}
    for ahead in (-3600, -665, -630, -300):
        idp.say(f"clock {ahead}")
        tokens[ahead] = idp.token("role-contributor")
    idp.say("clock 0")
    assert [may(service, "", token) for token in tokens.values()] == [NOTHING, NOTHING, EVERYTHING, EVERYTHING]
    assert may(service, "", idp.token("role-contributor")) == EVERYTHING


def test_a_challenge_says_where_to_get_a_token(service, idp):
    challenge = read(service, "", None).headers["WWW-Authenticate"]
    assert challenge == f'Bearer authorization_uri="{idp.base}", resource="{AUDIENCE}"'
    challenge = read(service, "/entra", "x.y.z").headers["WWW-Authenticate"]
    uri = f"https://login.microsoftonline.com/{TENANT}"
    assert challenge == f'Bearer authorization_uri="{uri}", resource="{ENTRA_AUDIENCE}", error="invalid_token"'


def changed(token, part, change):
    """The token with a changed header (0) or claims (1), and the signature that it had."""
    parts = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    change(content)
    parts[part] = b64url(json.dumps(content).encode())
    return ".".join(parts)


def test_other_tokens_are_good_for_nothing(service, idp):
    good = idp.token("role-contributor")
    unsigned = changed(good, 0, lambda header: header.update(alg="none")).rpartition(".")[0] + "."
    local = run("admin", "token", "--data-dir", service.data_dir, "--provider", "groups").stdout.strip()
    tokens = {
        "none": None,
        "of another audience": idp.token("role-contributor", resource="https://other.example"),
        "of another issuer with the same keys": idp.token("role-contributor", issuer="/v2"),
        "PS256": idp.token("role-contributor", resource=f"{AUDIENCE}/ps256"),
        "HS256": idp.token("role-contributor", resource=f"{AUDIENCE}/hs256"),
        "opaque": idp.token("role-contributor", resource=f"{AUDIENCE}/opaque"),
        "with a role more": changed(idp.token("nobody"), 1, lambda claims: claims.update(roles=["Attestation Contributor"])),
        "of later": changed(good, 1, lambda claims: claims.update(exp=claims["exp"] + 3600)),
        "RS256 as ES256": changed(good, 0, lambda header: header.update(alg="ES256")),
        "unsigned": unsigned,
        "local, for another provider": local,
    }
    for what, token in tokens.items():
        assert may(service, "", token) == NOTHING, what
    assert may(service, "", idp.token("role-contributor", resource=f"{AUDIENCE}/es256")) == EVERYTHING
    assert may(service, "/groups", local) == EVERYTHING


def test_attestation_asks_for_a_token_in_2018_only(service, idp):
    def status(version, token):
        path = f"/attest/SgxEnclave?api-version={version}"
        return service.request("POST", path, {"Quote": "AA", "quote": "AA"}, bearer(token)).status

    assert status("2018-09-01-preview", None) == 401
    assert status("2018-09-01-preview", idp.token("role-contributor", resource="https://other.example")) == 401
    # They get further, to what is wrong with the quote.
    assert status("2018-09-01-preview", idp.token("nobody")) == 400
    assert status("2020-10-01", None) == status("2020-10-01", "any.thing.here") == 400
    for path in ("/certs", "/.well-known/openid-configuration"):
        for token in (None, "any.thing.here", idp.token("nobody")):
            assert service.request("GET", path, headers=bearer(token)).status == 200


class Credential:
    """What azure-identity would be: the scope that the SDK asks for, from the OpenID provider."""

    def __init__(self, idp, client):
        self.idp, self.client, self.scopes = idp, client, set()

    def get_token(self, *scopes, **_):
        self.scopes.update(scopes)
        resource = scopes[0].removesuffix("/.default")
        return AccessToken(self.idp.token(self.client, resource=resource, issuer="/v2"), int(time.time()) + 500)


def test_the_published_client_with_tokens_of_the_provider(service, idp):
    def client(name):
        credential = Credential(idp, name)
        options = {"connection_verify": str(service.ca)}
        return AttestationAdministrationClient(f"{service.uri}/entra", credential, **options), credential

    contributor, credential = client("role-contributor")
    result, _ = contributor.set_policy(AttestationType.SGX_ENCLAVE, POLICY)
    assert result.policy_resolution == "Updated" and credential.scopes == {f"{ENTRA_AUDIENCE}/.default"}
    reader, _ = client("role-reader")
    assert reader.get_policy(AttestationType.SGX_ENCLAVE)[0] == POLICY
    for refused in (lambda: reader.reset_policy(AttestationType.SGX_ENCLAVE), lambda: client("nobody")[0].get_policy(AttestationType.SGX_ENCLAVE)):
        with pytest.raises(ClientAuthenticationError) as caught:
            refused()
        assert caught.value.status_code == 401
    assert contributor.reset_policy(AttestationType.SGX_ENCLAVE)[0].policy_resolution == "Removed"


@pytest.mark.parametrize("provider", ["/distrustful", "/misdirected"])
def test_without_keys_nobody_is_let_in(service, idp, provider):
    token = idp.token("role-reader")
    for _ in range(3):
        answer = read(service, provider, token)
        assert (answer.status, answer.error["code"]) == (503, "ServiceUnavailable"), answer.body
        assert int(answer.headers["Retry-After"]) > 0
        assert idp.base not in answer.body.decode()
    local = run("admin", "token", "--data-dir", service.data_dir, "--provider", provider[1:]).stdout.strip()
    assert may(service, provider, local) == EVERYTHING


def test_invented_key_ids_do_not_make_the_service_ask(service, idp):
    good = idp.token("role-reader")
    assert read(service, "", good).status == 200
    before = idp.say("stats")
    for number in range(60):
        invented = changed(good, 0, lambda header: header.update(kid=f"invented-{number}"))
        assert read(service, "", invented).status == 401
    after = idp.say("stats")
    assert after["keys"] - before["keys"] <= 1 and after["document"] - before["document"] <= 1, (before, after)
    assert read(service, "", good).status == 200


def eventually(done):
    deadline = time.monotonic() + NOTICED_WITHIN_SECS
    while not done():
        assert time.monotonic() < deadline, "it was not noticed"
        time.sleep(0.5)


def test_rotated_keys_are_noticed_and_old_ones_end(service, directory, idp):
    old = idp.token("role-reader")
    assert read(service, "", old).status == read(service, "/air-gapped", old).status == 200
    idp.say("rotate")
    (directory / "keys.json").write_bytes(idp.get("/jwks"))
    new = idp.token("role-reader")
    for provider in ("", "/air-gapped"):
        eventually(lambda: read(service, provider, new).status == 200)
        assert read(service, provider, old).status == 401
    entra = idp.token("role-reader", resource=ENTRA_AUDIENCE, issuer="/v1")
    eventually(lambda: read(service, "/entra", entra).status == 200)


def test_an_outage_of_the_provider_is_survived(service, directory, idp):
    token = idp.before_outage = idp.token("role-contributor")
    assert may(service, "", token) == EVERYTHING
    idp.stop()
    assert may(service, "", token) == EVERYTHING
    assert read(service, "", changed(token, 0, lambda header: header.update(kid="new"))).status == 401
    assert may(service, "", token) == EVERYTHING
    # A service that never had the keys lets nobody in; the local issuer and the file need no provider.
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data-2") as other:
        assert read(other, "", token).status == 503
        assert may(other, "/air-gapped", token) == EVERYTHING
        local = run("admin", "token", "--data-dir", other.data_dir).stdout.strip()
        assert may(other, "", local) == EVERYTHING
        assert other.request("GET", "/certs").status == 200


def test_a_provider_that_comes_back_with_other_keys(service, idp):
    """It was down, as the last test left it; its keys are not those of before, its name is."""
    old_base = idp.base
    idp.start(urllib.parse.urlsplit(idp.base).port)
    assert idp.base == old_base
    new = idp.token("role-contributor")
    eventually(lambda: read(service, "", new).status == 200)
    assert may(service, "", new) == EVERYTHING
    assert may(service, "", idp.before_outage) == NOTHING


def test_the_audit_log_names_the_callers_and_is_whole(service, idp):
    verified = run("audit", "verify", "--data-dir", service.data_dir, "--json")
    assert verified.returncode == 0, verified.stdout
    assert not json.loads(verified.stdout).get("problems")
    log = "".join(path.read_text() for path in sorted((service.data_dir / "audit").glob("*.jsonl")))
    events = [json.loads(line) for line in log.splitlines()]
    written = [event for event in events if event["operation"] == "PUT /policies/sgxenclave"]
    assert {"begun", "succeeded", "refused"} <= {event["outcome"] for event in written}
    actors = {event.get("actor") for event in written if event["outcome"] == "succeeded"}
    assert f"role-contributor of {idp.base}" in actors
    assert f"role-contributor of https://login.microsoftonline.com/{TENANT}/v2.0" in actors
    assert "admin of urn:vouchsafe:local" in actors
    assert not any(part in log for part in ("eyJ", "Bearer"))
