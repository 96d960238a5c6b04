"""A machine with a software TPM: swtpm, manufactured and booted here, spoken to with tpm2-tools.

It speaks the protocol on its own, from its documents, and shares no code with the service or with its client.
"""

import datetime
import functools
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness import b64url, b64url_decode

TOOLS = ("swtpm", "swtpm_setup", "swtpm_localca", "tpm2_quote", "openssl")
ALL_PCRS = tuple(range(24))
GLOBAL_GUID = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
SECURITY_GUID = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")
X509_LIST_GUID = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
OWNER_GUID = bytes.fromhex("bd9afa775903324dbd6028f4e78f784b")
EV_NO_ACTION, EV_SEPARATOR, EV_S_CRTM_VERSION, EV_IPL = 3, 4, 8, 0xD
EV_VARIABLE, EV_APPLICATION, EV_ACTION, EV_AUTHORITY = 0x80000001, 0x80000003, 0x80000007, 0x800000E0


def missing():
    """What is not installed; empty if a machine can be made."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


class EventLog:
    """A TCG 2 log with two banks, and what it extends."""

    def __init__(self):
        banks = ((4, 20), (11, 32))
        spec = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks))
        spec += b"".join(struct.pack("<HH", *bank) for bank in banks) + b"\0"
        self.bytes = struct.pack("<II20sI", 0, EV_NO_ACTION, b"", len(spec)) + spec
        self.extensions = []

    def add(self, pcr, kind, data, measured=None):
        measured = data if measured is None else measured
        sha1, sha256 = hashlib.sha1(measured).digest(), hashlib.sha256(measured).digest()
        self.bytes += struct.pack("<IIIH20sH32sI", pcr, kind, 2, 4, sha1, 11, sha256, len(data)) + data
        self.extensions.append(f"{pcr}:sha1={sha1.hex()},sha256={sha256.hex()}")

    def variable(self, guid, name, value, kind=EV_VARIABLE):
        data = guid + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value
        self.add(7, kind, data)


def boot(secure=True, command_line="/vmlinuz root=/dev/lab quiet"):
    """The log of a machine that started GRUB and a kernel."""
    log = EventLog()
    certificate = _certificate().public_bytes(serialization.Encoding.DER)
    entry = OWNER_GUID + certificate
    keys = X509_LIST_GUID + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry if secure else b""
    log.add(0, EV_S_CRTM_VERSION, "firmware 1.0\0".encode("utf-16-le"))
    log.variable(GLOBAL_GUID, "SecureBoot", b"\1" if secure else b"\0")
    for guid, name in ((GLOBAL_GUID, "PK"), (GLOBAL_GUID, "KEK"), (SECURITY_GUID, "db")):
        log.variable(guid, name, keys)
    log.variable(SECURITY_GUID, "dbx", b"")
    log.add(4, EV_ACTION, b"Calling EFI Application from Boot Option")
    for pcr in range(8):
        log.add(pcr, EV_SEPARATOR, bytes(4))
    if secure:
        log.variable(SECURITY_GUID, "db", entry, EV_AUTHORITY)
    log.add(4, EV_APPLICATION, struct.pack("<QQQQ", 0x7E000000, 65536, 0, 0), b"a boot loader")
    log.add(8, EV_IPL, f"grub_cmd: linux {command_line}\0".encode(), f"linux {command_line}".encode())
    log.add(8, EV_IPL, f"kernel_cmdline: {command_line}\0".encode(), command_line.encode())
    log.add(9, EV_IPL, b"/vmlinuz\0", b"a kernel")
    log.add(5, EV_ACTION, b"Exit Boot Services Invocation")
    log.add(5, EV_ACTION, b"Exit Boot Services Returned with Success")
    return log


@functools.cache
def _certificate():
    """A signer of boot loaders."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Boot loader signer")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


class Machine:
    """A machine that has booted. Its endorsement key is certified by its maker, whose certificates are `maker`."""

    def __init__(self, directory, log=None, maker=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.log = log or boot()
        self.process = None
        self._manufacture(maker)
        self._power_on()
        for extension in self.log.extensions:
            self.tpm("pcrextend", extension)
        (self.directory / "eventlog").write_bytes(self.log.bytes)
        self.tpm("createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.tpm2b")
        self.ek_public = self.read("ek.tpm2b")[2:]
        self.tpm("nvread", "0x01c00002", "-o", "ek.crt")
        self.ek_certificate = self.read("ek.crt")
        self.ak_public = self.make_key("ak")

    def _manufacture(self, maker):
        at = self.directory
        authority = at / "ca" if maker is None else maker.directory / "ca"
        for sub in ("state", "cfg"):
            (at / sub).mkdir(mode=0o700)
        authority.mkdir(mode=0o700, exist_ok=True)
        (at / "cfg/ca.options").write_text(
            "--platform-manufacturer Test\n--platform-version 1\n--platform-model machine\n"
            "--tpm-manufacturer id:00001014\n--tpm-version id:20191023\n--tpm-model swtpm\n"
        )
        (at / "cfg/ca.conf").write_text(
            f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
            f"issuercert = {authority}/issuercert.pem\ncertserial = {authority}/certserial\n"
        )
        (at / "cfg/setup.conf").write_text(
            f"create_certs_tool = {shutil.which('swtpm_localca')}\ncreate_certs_tool_config = {at}/cfg/ca.conf\n"
            f"create_certs_tool_options = {at}/cfg/ca.options\nactive_pcr_banks = sha1,sha256\n"
        )
        self._run(
            "swtpm_setup", "--tpm2", "--tpmstate", f"dir://{at}/state", "--create-ek-cert",
            "--pcr-banks", "sha1,sha256", "--config", f"{at}/cfg/setup.conf", "--logfile", f"{at}/cfg/setup.log",
        )  # fmt: skip
        self.maker = [authority / "issuercert.pem", authority / "swtpm-localca-rootca-cert.pem"]

    def _power_on(self):
        # The tools expect the control channel at the next port.
        for _ in range(20):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.directory}/state",
                 "--server", f"type=tcp,bindaddr=127.0.0.1,port={self.port}",
                 "--ctrl", f"type=tcp,bindaddr=127.0.0.1,port={self.port + 1}",
                 "--flags", "not-need-init,startup-clear"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            for _ in range(50):
                if self.process.poll() is not None:
                    break
                # Asking the control channel does not take the place of the one client that swtpm serves.
                with socket.socket() as control:
                    if control.connect_ex(("127.0.0.1", self.port + 1)) == 0:
                        self.tcti = f"swtpm:host=127.0.0.1,port={self.port}"
                        return
                time.sleep(0.1)
        raise AssertionError("swtpm found no two ports that are free")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self, *command):
        env = {**os.environ, "XDG_CONFIG_HOME": str(self.directory / "cfg")}
        if self.process:
            env["TPM2TOOLS_TCTI"] = self.tcti
        done = subprocess.run(command, cwd=self.directory, env=env, capture_output=True, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def tpm(self, tool, *arguments):
        """Runs one of the tools, and leaves nothing loaded behind."""
        out = self._run(f"tpm2_{tool}", *map(str, arguments))
        if tool not in ("startauthsession", "policysecret"):
            self._run("tpm2_flushcontext", "-t")
        return out

    def read(self, name):
        return (self.directory / name).read_bytes()

    def make_key(self, name):
        """Makes a restricted signing key of that name; its public area."""
        self.tpm("createak", "-C", "ek.ctx", "-c", f"{name}.ctx", "-G", "rsa", "-g", "sha256", "-s", "rsassa",
                 "-u", f"{name}.tpm2b")  # fmt: skip
        return self.read(f"{name}.tpm2b")[2:]

    def make_unrestricted_key(self, name):
        """Makes a key that signs whatever it is given; its public area."""
        self.tpm("createprimary", "-C", "o", "-c", "srk.ctx")
        self.tpm("create", "-C", "srk.ctx", "-G", "rsa2048:rsassa-sha256:null", "-u", f"{name}.tpm2b", "-r", f"{name}.priv",
                 "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign", "-c", f"{name}.ctx")  # fmt: skip
        return self.read(f"{name}.tpm2b")[2:]

    def activate(self, credential_blob, encrypted_secret, key="ak"):
        """What the TPM finds in a credential for this key."""
        (self.directory / "credential").write_bytes(b"\xba\xdc\xc0\xde\0\0\0\1" + credential_blob + encrypted_secret)
        self.tpm("startauthsession", "--policy-session", "-S", "session.ctx")
        self.tpm("policysecret", "-S", "session.ctx", "-c", "e")
        self._run("tpm2_activatecredential", "-c", f"{key}.ctx", "-C", "ek.ctx", "-i", "credential", "-o", "secret",
                  "-P", "session:session.ctx")  # fmt: skip
        self._run("tpm2_flushcontext", "session.ctx")
        self._run("tpm2_flushcontext", "-t")
        return self.read("secret")

    def quote(self, nonce, pcrs=ALL_PCRS, key="ak"):
        """`TPMS_ATTEST`, `TPMT_SIGNATURE` and the values."""
        selection = "sha256:" + ",".join(map(str, pcrs))
        self.tpm("quote", "-c", f"{key}.ctx", "-l", selection, "-q", nonce.hex(), "-m", "quote.msg", "-s", "quote.sig",
                 "-g", "sha256")  # fmt: skip
        self.tpm("pcrread", selection, "-o", "pcrs")
        values = self.read("pcrs")
        assert len(values) == 32 * len(pcrs)
        digests = {pcr: values[32 * at : 32 * at + 32] for at, pcr in enumerate(sorted(pcrs))}
        return self.read("quote.msg"), self.read("quote.sig"), digests


class Attester:
    """What runs on a machine and asks a service for tokens."""

    def __init__(self, machine, service, path="", headers=None):
        self.machine, self.service, self.path = machine, service, path
        self.headers = headers or {}
        self.request_key = rsa.generate_private_key(65537, 2048)
        self.certificate = None

    def post(self, path, body):
        return self.service.request("POST", f"{self.path}{path}?api-version=2022-08-01", body, self.headers)

    # ------------------------------------------------------------ enrolment

    def begin_enrollment(self, key="ak", ek_certificate=None):
        public = self.machine.read(f"{key}.tpm2b")[2:]
        body = {
            "ekCertificates": [b64url(ek_certificate or self.machine.ek_certificate)],
            "ekPublic": b64url(self.machine.ek_public),
            "aikPublic": b64url(public),
        }
        return self.post("/tpm/enrollments", body)

    def enroll(self, key="ak"):
        """Proves that the key lives in the TPM of the endorsement key; keeps the certificate."""
        begun = self.begin_enrollment(key)
        assert begun.status == 200, begun.body
        offer = begun.json()
        credential = (b64url_decode(offer[name]) for name in ("credentialBlob", "encryptedSecret"))
        secret = self.machine.activate(*credential, key=key)
        done = self.post(
            "/tpm/enrollments:activate",
            {"enrollmentContext": offer["enrollmentContext"], "secret": b64url(secret)},
        )
        assert done.status == 200, done.body
        self.certificate = b64url_decode(done.json()["aikCertificate"])
        return done.json()

    # ------------------------------------------------------------ attestation

    def message(self, content):
        """One round of the protocol: the answer, with its `data` decoded if it has any."""
        answer = self.post("/attest/Tpm", {"data": b64url(json.dumps({"payload": content}).encode())})
        decoded = json.loads(b64url_decode(answer.json()["data"]))["payload"] if answer.status == 200 else None
        return answer, decoded

    def challenge(self):
        answer, challenge = self.message({"type": "aikcert"})
        assert answer.status == 200, answer.body
        return challenge

    def jwk(self):
        return rsa_jwk(self.request_key.public_key())

    def request(self, challenge, key="ak", pcrs=ALL_PCRS, log=None, certificate=None, nonce=None, change=None):
        """The request that answers a challenge, as a JWS; `change` is given what is signed to spoil it."""
        octets = b64url_decode(challenge["challenge"])
        jwk = json.dumps(self.jwk())
        qualifying = hashlib.sha256(jwk.encode() + b"\0" + octets).digest() if nonce is None else nonce
        attest, signature, digests = self.machine.quote(qualifying, pcrs, key)
        if certificate is None:
            certificate = self.certificate
        key_of_certificate = x509.load_der_x509_certificate(certificate).public_key()
        content = {
            "att_type": "basic",
            "att_data": {
                "rp_id": "https://relying-party.example",
                "rp_data": b64url(b"a nonce of the relying party"),
                "challenge": challenge["challenge"],
                "tpm_att_data": {
                    "current_attestation": {
                        "logs": [{"type": "TCG", "log": b64url(self.machine.log.bytes if log is None else log)}],
                        "aik_cert": b64url(certificate),
                        "aik_pub": rsa_jwk(key_of_certificate),
                        "pcrs": [
                            {
                                "algorithm": 11,
                                "values": [{"index": pcr, "digest": b64url(value)} for pcr, value in digests.items()],
                            }
                        ],
                        "quote": b64url(attest),
                        "signature": b64url(signature),
                    }
                },
                "request_key": {"jwk": "JWK", "info": {"tpm_quote": {"hash_alg": "sha-256"}}},
                "other_keys": [],
                "custom_claims": [{"name": "rack", "value": "7", "value_type": "integer"}],
                "service_context": challenge["service_context"],
            },
        }
        if change:
            change(content)
        # The hash covers the text of the key as it is sent.
        payload = json.dumps(content).replace('"JWK"', jwk)
        signed = b64url(b'{"alg":"PS256","typ":"attReqV2"}') + "." + b64url(payload.encode())
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return signed + "." + b64url(self.request_key.sign(signed.encode(), pss, hashes.SHA256()))

    def attest(self, **how):
        """The whole exchange; the last answer and the token."""
        answer, report = self.message({"request": self.request(self.challenge(), **how)})
        return answer, report and report["report"]


def rsa_jwk(key):
    numbers = key.public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    return {"kty": "RSA", "n": b64url(modulus), "e": b64url(numbers.e.to_bytes(3, "big"))}
