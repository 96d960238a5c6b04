"""The published administration clients for Python and JavaScript, unmodified, manage policies and signers.

One service holds two providers, of the AAD and the isolated trust model. The access tokens are those of
`vouchsafe admin token`. Every answer goes through the SDKs' own validation.
"""

import datetime
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.security.attestation import AttestationAdministrationClient, AttestationType
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness import Service, run

POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
TYPES = [AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TPM]
CONFIGURATION = """
[endorsements]
pcs_urls = []
[[providers]]
name = "isolated"
path_prefix = "isolated"
trust_model = "isolated"
policy_signer_certificates = ["signer.pem"]
"""


class Signer:
    """A key with a self-signed certificate, in PEM."""

    def __init__(self, name, is_ca=True):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        pkcs8 = serialization.PrivateFormat.PKCS8
        self.key = key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()
        self.certificate = certificate.public_bytes(pem).decode()
        self.thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()

    def keywords(self):
        return {"signing_key": self.key, "signing_certificate": self.certificate}


class Credential:
    def __init__(self, token):
        self.token = token

    def get_token(self, *_, **__):
        return AccessToken(self.token, int(time.time()) + 3000)


class Managed:
    def __init__(self, service, signer):
        self.service, self.signer = service, signer

    def uri(self, provider):
        return self.service.uri if provider == "default" else f"{self.service.uri}/{provider}"

    def token(self, provider, role="contributor"):
        args = ("--data-dir", self.service.data_dir, "--provider", provider, "--role", role)
        done = run("admin", "token", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def client(self, provider, role="contributor", token=None, **options):
        credential = Credential(token or self.token(provider, role))
        options["connection_verify"] = str(self.service.ca)
        return AttestationAdministrationClient(self.uri(provider), credential, **options)


@pytest.fixture(scope="module")
def managed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("management")
    signer = Signer("IsolatedSigner")
    (directory / "signer.pem").write_text(signer.certificate)
    (directory / "vouchsafe.toml").write_text(CONFIGURATION)
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data") as service:
        yield Managed(service, signer)


@pytest.mark.parametrize("kind", TYPES)
def test_get_set_and_reset_without_a_signature(managed, kind):
    client = managed.client("default")
    if kind != AttestationType.TPM:  # of a policy that was never set, the SDK cannot read an empty payload
        assert client.get_policy(kind)[0].startswith("version= 1.1;")
    result, _ = client.set_policy(kind, POLICY)
    assert result.policy_resolution == "Updated" and result.policy_signer is None
    assert client.get_policy(kind)[0] == POLICY
    assert client.reset_policy(kind)[0].policy_resolution == "Removed"


@pytest.mark.parametrize("provider", ["default", "isolated"])
def test_get_set_and_reset_with_a_signature(managed, provider):
    client = managed.client(provider)
    result, token = client.set_policy(AttestationType.SGX_ENCLAVE, POLICY, **managed.signer.keywords())
    assert result.policy_resolution == "Updated"
    assert token._body["x-ms-policy-signer"]["kty"] == "RSA"
    assert client.get_policy(AttestationType.SGX_ENCLAVE)[0] == POLICY
    reset, _ = client.reset_policy(AttestationType.SGX_ENCLAVE, **managed.signer.keywords())
    assert reset.policy_resolution == "Removed"


def test_certificates_are_added_and_removed(managed):
    client = managed.client("isolated", **managed.signer.keywords())
    assert len(client.get_policy_management_certificates()[0]) == 1
    for other in (Signer("Another"), Signer("NewCertificateName", is_ca=False)):
        for _ in range(2):
            added, _ = client.add_policy_management_certificate(other.certificate)
            assert (added.certificate_resolution, added.certificate_thumbprint) == ("IsPresent", other.thumbprint)
        assert len(client.get_policy_management_certificates()[0]) == 2
        for _ in range(2):
            removed, _ = client.remove_policy_management_certificate(other.certificate)
            assert (removed.certificate_resolution, removed.certificate_thumbprint) == ("IsAbsent", other.thumbprint)
    assert managed.client("default").get_policy_management_certificates()[0] == []


def test_refusals_arrive_as_the_sdk_names_them(managed):
    def refused(call, code, status=400):
        with pytest.raises(HttpResponseError) as caught:
            call()
        assert (caught.value.status_code, caught.value.error.code) == (status, code)
        return caught.value

    sgx, signer = AttestationType.SGX_ENCLAVE, managed.signer
    default, isolated = managed.client("default"), managed.client("isolated")
    refused(lambda: isolated.set_policy(sgx, POLICY), "InvalidOperation")
    refused(lambda: isolated.reset_policy(sgx), "InvalidOperation")
    refused(lambda: isolated.set_policy(sgx, POLICY, **Signer("Stranger").keywords()), "InvalidParameter")
    unfit = Signer("MyPolicySigner", is_ca=False)
    error = refused(lambda: default.set_policy(sgx, POLICY, **unfit.keywords()), "InvalidParameter")
    assert "Unable to find issuer certificate CN=MyPolicySigner" in str(error)
    refused(lambda: default.set_policy(sgx, "version=1.0;["), "PolicyParsingError")
    last = lambda: isolated.remove_policy_management_certificate(signer.certificate, **signer.keywords())
    refused(last, "InvalidOperation")
    add = lambda: default.add_policy_management_certificate(signer.certificate, **signer.keywords())
    refused(add, "InvalidOperation")

    reader = managed.client("default", role="reader")
    reader.get_policy(sgx)
    stranger = managed.client("isolated", token=managed.token("default"))
    for call in (lambda: reader.set_policy(sgx, POLICY), lambda: stranger.get_policy(sgx)):
        assert isinstance(refused(call, "Unauthorized", 401), ClientAuthenticationError)


def test_the_javascript_client(managed, tmp_path):
    node = shutil.which("node")
    here = Path(__file__).parent
    if node is None or not (here / "node_modules/@azure/attestation").is_dir():
        assert os.environ.get("CI") != "true", "node and its modules are missing"
        pytest.skip("node and its modules are missing")
    another = Signer("Another")
    files = {
        "signer.key": managed.signer.key,
        "signer.pem": managed.signer.certificate,
        "another.pem": another.certificate,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    env = os.environ | {
        "ANOTHER_THUMBPRINT": another.thumbprint,
        "DEFAULT_TOKEN": managed.token("default"),
        "DEFAULT_URI": managed.uri("default"),
        "FILES": str(tmp_path),
        "ISOLATED_TOKEN": managed.token("isolated"),
        "ISOLATED_URI": managed.uri("isolated"),
        "NODE_EXTRA_CA_CERTS": str(managed.service.ca),
    }
    done = subprocess.run([node, here / "management.mjs"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all steps done" in done.stdout
