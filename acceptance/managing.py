"""What the tests of policy management share: signers, credentials, and a service with providers of every trust model."""

import base64
import datetime
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.security.attestation import AttestationAdministrationClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import evidence
from harness import ALL_TCB_STATUSES, b64url, run

VERSION = "api-version=2020-10-01"
POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
# The known answers for that text: its hash, and the hashes of its unsigned JWS as the clients write it.
POLICY_HASH = "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"
TOKEN_HASH_WITH_SPACES = "pyhI2FKMjRkvpvwS07hLclAyvsi5O4TrnzL5OPsIxzM"
TOKEN_HASH_COMPACT = "c6sEJQItV50OeP9IrP_bzywAMOVvj5uDPbklA_bwdYQ"
DEFAULT_SGX_HASH = "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc"
DENYING = "version=1.0; authorizationrules{=> deny();}; issuancerules{};"
RENAMING = (
    "version=1.0; authorizationrules{=> permit();}; "
    'issuancerules{c:[type=="x-ms-sgx-product-id"] => issue(type="product", value=c.value);};'
)


class Signer:
    """A key with its certificate in PEM: self-signed, or by another signer."""

    def __init__(self, name, is_ca=True, by=None, curve=None):
        key = ec.generate_private_key(curve()) if curve else rsa.generate_private_key(65537, 2048)
        now = datetime.datetime.now(datetime.timezone.utc)
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.private = key
        issuer = by or self
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # Valid when the captured evidence was: signers are held to the time that it is appraised at.
            .not_valid_before(datetime.datetime(2018, 1, 1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(issuer.private, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        pkcs8 = serialization.PrivateFormat.PKCS8
        self.key = key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()
        self.certificate = certificate.public_bytes(pem).decode()
        # Leaf first.
        self.chain = self.certificate + (by.chain if by else "")
        self.thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()
        self.x5c = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]

    def keywords(self):
        """How the Python SDK takes it."""
        return {"signing_key": self.key, "signing_certificate": self.certificate}


class Credential:
    """A credential with one token."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *_, **__):
        return AccessToken(self.token, int(time.time()) + 3000)


class AsyncCredential(Credential):
    async def get_token(self, *_, **__):
        return AccessToken(self.token, int(time.time()) + 3000)

    async def close(self):
        pass


class Managed:
    """A running service whose providers the tests manage."""

    def __init__(self, service):
        self.service = service

    def uri(self, provider="default"):
        return self.service.uri if provider == "default" else f"{self.service.uri}/{provider}"

    def token(self, provider="default", role="contributor", *more):
        args = ("--data-dir", self.service.data_dir, "--provider", provider, "--role", role, *more)
        done = run("admin", "token", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def client(self, provider="default", role="contributor", token=None, **options):
        """The SDK's client, which validates every answer as strictly as it can."""
        credential = Credential(token or self.token(provider, role))
        options = {"validate_issuer": True, "issuer": self.uri(provider)} | options
        return AttestationAdministrationClient(
            self.uri(provider), credential, connection_verify=str(self.service.ca), **options
        )

    def request(self, provider, token, method, path, body=None, headers=None):
        """A request below the provider's path, with a token."""
        prefix = "" if provider == "default" else f"/{provider}"
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return self.service.request(method, f"{prefix}{path}", body, headers)

    def attest(self, provider, item):
        """Attests one piece of evidence under a provider's policy, with no credential."""
        path = f"/attest/{item.kind}?{VERSION}"
        return self.request(provider, None, "POST", path, {item.field: b64url(item.evidence)})


def node_with(module):
    """The path of Node, if the npm package is installed beside it; its tests are skipped without, but not in CI."""
    node = shutil.which("node")
    if node is None or not (Path(__file__).parent / "node_modules" / module).is_dir():
        assert os.environ.get("CI") != "true", f"node or its module {module} is missing"
        pytest.skip(f"node or its module {module} is missing")
    return node


def unsigned(text):
    """The JWS of a policy, without a signature."""
    payload = json.dumps({"AttestationPolicy": b64url(text.encode())}, separators=(",", ":"))
    return f"eyJhbGciOiJub25lIn0.{b64url(payload.encode())}."


def policy_hash(text):
    """The claim x-ms-policy-hash of a policy text."""
    return b64url(hashlib.sha256(b64url(text.encode()).encode()).digest())


def token_hash(jws):
    """The claim x-ms-policy-token-hash of a policy's JWS."""
    return b64url(hashlib.sha256(jws.encode()).digest())


def endorsed_configuration():
    """Head of a configuration: appraises the captured evidence if it is there, and never goes to the network."""
    if not evidence.present():
        return "[endorsements]\npcs_urls = []\n"
    endorsed = evidence.named("sdk-test-quote").endorsed
    files = json.dumps([str(path) for path in endorsed.files])
    return f'danger_appraise_at = "{endorsed.at}"\n[endorsements]\npcs_urls = []\noffline = {files}\n' + baseline("provider")


def baseline(table):
    """A baseline that accepts evidence of machines long out of date."""
    return f"[{table}.baseline]\naccept_tcb_status = {json.dumps(ALL_TCB_STATUSES)}\n"
