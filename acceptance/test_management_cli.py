"""Policies and signers of a running service from the command line, as an operator types it."""

import json
import signal

import pytest

from harness import Service, decode, run
from managing import (
    DEFAULT_SGX_HASH,
    DENYING,
    POLICY,
    POLICY_HASH,
    RENAMING,
    Managed,
    Signer,
    baseline,
    endorsed_configuration,
    policy_hash,
)

DONE, DENIED, USAGE, FAILED = 0, 1, 2, 3
CONFIGURATION = """
[[providers]]
name = "isolated"
path_prefix = "isolated"
trust_model = "isolated"
policy_signer_certificates = ["root.pem"]
"""


class Operator(Managed):
    """Types commands, with the connection and the token in the environment."""

    def __init__(self, service, directory):
        super().__init__(service)
        self.directory = directory

    def file(self, name, text):
        (self.directory / name).write_text(text)
        return self.directory / name

    def type(self, *command, provider="default", role="contributor", expect=DONE, **more):
        env = {
            "VOUCHSAFE_ENDPOINT": self.uri(provider),
            "VOUCHSAFE_CA_FILE": str(self.service.ca),
            "VOUCHSAFE_BEARER_TOKEN": self.token(provider, role) if role else "",
        }
        done = run(*command, env=env, **more)
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "panicked" not in done.stderr
        return done

    def json(self, *command, **more):
        return json.loads(self.type(*command, "--json", **more).stdout)

    def history(self, kind="SgxEnclave", **more):
        return self.json("policy", "history", kind, **more)["versions"]


@pytest.fixture(scope="module")
def root():
    return Signer("Root")


@pytest.fixture(scope="module")
def operator(tmp_path_factory, root):
    directory = tmp_path_factory.mktemp("operator")
    (directory / "root.pem").write_text(root.certificate)
    (directory / "root.key").write_text(root.key)
    (directory / "vouchsafe.toml").write_text(endorsed_configuration() + CONFIGURATION + baseline("providers"))
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data") as service:
        operator = Operator(service, directory)
        operator.file("permit.policy", POLICY)
        operator.file("rename.policy", RENAMING)
        operator.file("deny.policy", DENYING)
        yield operator


@pytest.fixture
def as_root(operator):
    return ("--signer-key", operator.directory / "root.key", "--signer-cert", operator.directory / "root.pem")


def test_set_get_history_rollback_and_reset(operator):
    default = operator.json("policy", "get", "SgxEnclave")
    assert default["hash"] == DEFAULT_SGX_HASH and default["signer"] is None
    assert operator.history() == []

    done = operator.type("policy", "set", "SgxEnclave", operator.directory / "permit.policy")
    assert POLICY_HASH in done.stdout
    # To the last byte: the hash is taken of all of them.
    assert operator.type("policy", "get", "SgxEnclave").stdout == POLICY
    assert operator.json("policy", "get", "SgxEnclave")["hash"] == POLICY_HASH
    # The same from standard input.
    operator.type("policy", "set", "sgx", "-", input=RENAMING)
    operator.type("policy", "set", "SgxEnclave", operator.directory / "deny.policy")
    assert operator.type("policy", "get", "SgxEnclave", "--version", "2").stdout == RENAMING

    operator.type("policy", "rollback", "SgxEnclave", "2")
    assert operator.type("policy", "get", "SgxEnclave").stdout == RENAMING
    operator.type("policy", "reset", "SgxEnclave")
    assert operator.json("policy", "get", "SgxEnclave")["hash"] == DEFAULT_SGX_HASH
    operator.type("policy", "rollback", "SgxEnclave", "1")

    history = operator.history()
    assert [(v["version"], v["action"], v["restoredVersion"], v["policyHash"]) for v in history] == [
        (6, "rollback", 1, POLICY_HASH),
        (5, "reset", None, DEFAULT_SGX_HASH),
        (4, "rollback", 2, policy_hash(RENAMING)),
        (3, "set", None, policy_hash(DENYING)),
        (2, "set", None, policy_hash(RENAMING)),
        (1, "set", None, POLICY_HASH),
    ]
    assert {v["actor"] for v in history} == {"admin of urn:vouchsafe:local"}
    assert {v["signerThumbprint"] for v in history} == {None}
    assert [v["version"] for v in operator.json("policy", "history", "SgxEnclave", "--limit", "2")["versions"]] == [6, 5]
    lines = operator.type("policy", "history", "SgxEnclave").stdout.splitlines()
    assert len(lines) == 6 and POLICY_HASH in lines[0] and "rollback to 1" in lines[0]
    # A reset too is a version that can come back.
    operator.type("policy", "rollback", "SgxEnclave", "5")
    assert operator.json("policy", "get", "SgxEnclave")["hash"] == DEFAULT_SGX_HASH
    assert operator.history("OpenEnclave") == [] == operator.history(provider="isolated")


def test_what_is_wrong_is_not_sent(operator):
    before = operator.history()
    wrong = operator.file("wrong.policy", "version=1.0;\nauthorizationrules{=> permt();};")
    done = operator.type("policy", "set", "SgxEnclave", wrong, expect=DENIED)
    assert "wrong.policy:2:" in done.stderr and not done.stdout
    done = operator.type("policy", "set", "SgxEnclave", wrong, "--no-check", expect=DENIED)
    assert "PolicyParsingError" in done.stderr
    operator.type("policy", "set", "SgxEnclave", operator.directory / "absent.policy", expect=USAGE)
    operator.type("policy", "set", "NoSuchType", operator.directory / "permit.policy", expect=USAGE)
    operator.type("policy", "rollback", "SgxEnclave", "999", expect=FAILED)
    operator.type("policy", "rollback", "OpenEnclave", "1", expect=FAILED)
    assert operator.history() == before


def test_roles(operator):
    before = operator.history()
    assert operator.json("policy", "get", "SgxEnclave", role="reader")["hash"]
    permit = operator.directory / "permit.policy"
    for command in (
        ("policy", "set", "SgxEnclave", permit),
        ("policy", "reset", "SgxEnclave"),
        ("policy", "rollback", "SgxEnclave", "1"),
    ):
        done = operator.type(*command, role="reader", expect=FAILED)
        assert "Unauthorized" in done.stderr and "Contributor" in done.stderr
    for command in (("policy", "get", "SgxEnclave"), ("policy", "history", "SgxEnclave"), ("signers", "list")):
        assert "Unauthorized" in operator.type(*command, role=None, expect=FAILED).stderr
    assert operator.history(role="reader") == before


def test_an_answer_of_another_issuer_is_not_believed(operator):
    done = operator.type("policy", "get", "SgxEnclave", "--issuer", "https://elsewhere.example", expect=FAILED)
    assert not done.stdout and "does not verify" in done.stderr


def test_a_policy_decides_about_evidence(operator, json_quote, tmp_path):
    (tmp_path / "quote").write_bytes(json_quote.evidence)

    def attest(expect=DONE):
        return operator.type("attest", "sgx", "--evidence", tmp_path / "quote", role=None, expect=expect)

    operator.type("policy", "set", "SgxEnclave", operator.directory / "deny.policy")
    assert "PolicyEvaluationError" in attest(DENIED).stderr
    operator.type("policy", "set", "SgxEnclave", operator.directory / "rename.policy")
    claims = decode(attest().stdout.strip())[1]
    assert claims["x-ms-policy-hash"] == policy_hash(RENAMING) and "product" in claims
    operator.type("policy", "reset", "SgxEnclave")
    assert decode(attest().stdout.strip())[1]["x-ms-policy-hash"] == DEFAULT_SGX_HASH


def test_signed_policies(operator, root, as_root):
    def isolated(*command, **more):
        return operator.type(*command, provider="isolated", **more)

    permit, directory = operator.directory / "permit.policy", operator.directory
    done = isolated("policy", "set", "SgxEnclave", permit, expect=DENIED)
    assert "InvalidOperation" in done.stderr
    isolated("policy", "set", "SgxEnclave", permit, *as_root)
    got = operator.json("policy", "get", "SgxEnclave", provider="isolated")
    assert got["hash"] == POLICY_HASH and got["text"] == POLICY and root.thumbprint in json.dumps(got["signer"])

    # The key may stay on another machine.
    signed, reset = directory / "rename.jws", directory / "reset.jws"
    operator.type("policy", "sign", directory / "rename.policy", *as_root, "--out", signed, role=None)
    operator.type("policy", "sign", "--reset", *as_root, "--out", reset, role=None)
    isolated("policy", "set", "SgxEnclave", signed)
    assert isolated("policy", "get", "SgxEnclave", "--jws").stdout.strip() == signed.read_text().strip()
    isolated("policy", "reset", "SgxEnclave", expect=DENIED)
    isolated("policy", "reset", "SgxEnclave", "--signed", reset)
    assert [v["signerThumbprint"] for v in operator.history(provider="isolated")] == [root.thumbprint] * 3


def test_a_chain_that_leads_to_a_signer(operator, root):
    """The configured certificate is a certificate authority's; what it issues signs."""
    leaf = Signer("Leaf", is_ca=False, by=root)
    stranger = Signer("Leaf", is_ca=False, by=Signer("Root"))
    permit = operator.directory / "permit.policy"

    def by(signer, chain):
        key, certificate = operator.file("leaf.key", signer.key), operator.file("leaf.pem", chain)
        return ("--signer-key", key, "--signer-cert", certificate)

    def attempt(signer, chain, expect):
        args = ("policy", "set", "OpenEnclave", permit, *by(signer, chain))
        return operator.type(*args, provider="isolated", expect=expect)

    attempt(leaf, leaf.chain, DONE)
    attempt(stranger, stranger.chain, DENIED)
    # Of another key than the certificate's the command itself notices.
    attempt(stranger, leaf.chain, USAGE)
    got = operator.json("policy", "get", "OpenEnclave", provider="isolated")
    assert leaf.thumbprint in json.dumps(got["signer"])
    operator.type("policy", "reset", "OpenEnclave", *by(leaf, leaf.chain), provider="isolated")


def test_signers(operator, root, as_root):
    def isolated(*command, **more):
        return operator.type(*command, provider="isolated", **more)

    def listed():
        return isolated("signers", "list").stdout

    other = Signer("Other")
    key, certificate = operator.file("other.key", other.key), operator.file("other.pem", other.certificate)
    as_other = ("--signer-key", key, "--signer-cert", certificate)
    root_pem = operator.directory / "root.pem"
    assert root.thumbprint in listed() and other.thumbprint not in listed()
    isolated("signers", "add", certificate, *as_other, expect=DENIED)
    isolated("signers", "add", certificate, expect=USAGE)
    assert other.thumbprint in isolated("signers", "add", certificate, *as_root).stdout
    assert other.thumbprint in listed() and root.thumbprint in listed()

    isolated("policy", "set", "SgxEnclave", operator.directory / "permit.policy", *as_other)
    by_other = operator.history(provider="isolated")[0]
    assert by_other["signerThumbprint"] == other.thumbprint and "Other" in by_other["signerSubject"]
    # A signer may remove another, also the one that was configured; the last one stays.
    isolated("signers", "remove", root_pem, *as_other)
    assert root.thumbprint not in listed()
    assert "InvalidOperation" in isolated("signers", "remove", certificate, *as_other, expect=DENIED).stderr
    isolated("policy", "set", "SgxEnclave", operator.directory / "permit.policy", *as_root, expect=DENIED)
    # A restart does not bring back what was removed, though the configuration still names it.
    operator.service.stop(signal.SIGKILL)
    operator.service.uri = None
    operator.service.start()
    assert root.thumbprint not in listed() and other.thumbprint in listed()

    isolated("signers", "add", root_pem, *as_other)
    isolated("policy", "set", "SgxEnclave", operator.directory / "rename.policy", *as_root)
    isolated("signers", "remove", certificate, *as_root)
    # What a removed signer has signed does not come back.
    version = str(by_other["version"])
    assert isolated("policy", "rollback", "SgxEnclave", version, expect=DENIED).stderr
    assert isolated("policy", "get", "SgxEnclave").stdout == RENAMING
    isolated("policy", "reset", "SgxEnclave", *as_root)
    # The default provider has no signers.
    assert "0 certificates" in operator.type("signers", "list").stdout
    assert "InvalidOperation" in operator.type("signers", "add", certificate, *as_root, expect=DENIED).stderr


def test_a_kill_loses_nothing(operator):
    operator.type("policy", "set", "SgxEnclave", operator.directory / "rename.policy")
    before = operator.history()
    operator.service.stop(signal.SIGKILL)
    operator.service.uri = None
    operator.service.start()
    assert operator.type("policy", "get", "SgxEnclave").stdout == RENAMING
    assert operator.history() == before
    operator.type("policy", "reset", "SgxEnclave")
