"""Several providers in one service, told apart by path and by host name: what belongs to one is nothing to another."""

import json

import pytest

from harness import ALL_TCB_STATUSES, Service, b64url, b64url_decode, decode
from managing import (
    DENYING,
    POLICY,
    POLICY_HASH,
    RENAMING,
    VERSION,
    Managed,
    Signer,
    endorsed_configuration,
    policy_hash,
    unsigned,
)

ALPHA_URI = "https://alpha.attest.example"
# The provider `signed` has the baseline of every new provider, the others one for machines long out of date.
LENIENT = f"baseline = {{ accept_tcb_status = {json.dumps(ALL_TCB_STATUSES)} }}"
CONFIGURATION = f"""
[[providers]]
name = "alpha"
uri = "https://alpha.attest.example"
path_prefix = ""
host_names = ["alpha.attest.example", "alpha.internal.example"]
{LENIENT}

[[providers]]
name = "beta"
path_prefix = "beta"
{LENIENT}

[[providers]]
name = "shared"
path_prefix = "shared"
trust_model = "shared"
policies = {{ SgxEnclave = "shared.policy" }}
{LENIENT}

[[providers]]
name = "signed"
path_prefix = "signed"
trust_model = "isolated"
policy_signer_certificates = ["signer.pem"]
"""
# The path before every route, and the host that the request names; none is the address listened on.
ADDRESSES = {
    "default": ("", None),
    "alpha": ("", "alpha.attest.example"),
    "beta": ("/beta", None),
    "shared": ("/shared", None),
    "signed": ("/signed", None),
}


class Tenants(Managed):
    def at(self, name, method, path, body=None, token=None, host=None):
        prefix, own_host = ADDRESSES[name]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if host or own_host:
            headers["Host"] = host or own_host
        return self.service.request(method, prefix + path, body, headers)

    def policy(self, name, token):
        answer = self.at(name, "GET", f"/policies/SgxEnclave?{VERSION}", token=token)
        jws = decode(answer.token)[1]["x-ms-policy"]
        payload = json.loads(b64url_decode(jws.split(".")[1]))
        return b64url_decode(payload["AttestationPolicy"]).decode()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("providers")
    (directory / "signer.pem").write_text(Signer("Signer").certificate)
    (directory / "shared.policy").write_text(RENAMING)
    (directory / "vouchsafe.toml").write_text(endorsed_configuration() + CONFIGURATION)
    return directory


@pytest.fixture(scope="module")
def tenants(directory):
    with Service("--config", directory / "vouchsafe.toml", data_dir=directory / "data") as service:
        yield Tenants(service)


@pytest.fixture(scope="module")
def tokens(tenants):
    return {name: tenants.token(name) for name in ADDRESSES}


def issuer(tenants, name):
    return ALPHA_URI if name == "alpha" else tenants.uri(name)


@pytest.mark.parametrize("name", ADDRESSES)
def test_each_says_its_own_name(tenants, tokens, name):
    metadata = tenants.at(name, "GET", "/.well-known/openid-configuration").json()
    uri = issuer(tenants, name)
    assert (metadata["issuer"], metadata["jwks_uri"]) == (uri, f"{uri}/certs")
    header, claims = decode(tenants.at(name, "GET", f"/certificates?{VERSION}", token=tokens[name]).token)
    assert (claims["iss"], header["jku"]) == (uri, f"{uri}/certs")
    keys = tenants.at(name, "GET", "/certs").json()["keys"]
    assert header["kid"] in {key["kid"] for key in keys}


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_token_of_one_is_refused_at_every_other(tenants, tokens, name):
    for whose, token in tokens.items():
        for method, path, body in (
            ("GET", f"/policies/SgxEnclave?{VERSION}", None),
            ("GET", f"/policies/SgxEnclave/history?{VERSION}", None),
            ("GET", f"/certificates?{VERSION}", None),
            *(
                [
                    ("PUT", f"/policies/SgxEnclave?{VERSION}", unsigned(POLICY)),
                    ("POST", f"/policies/SgxEnclave:reset?{VERSION}", "eyJhbGciOiJub25lIn0.."),
                    ("POST", f"/policies/SgxEnclave:rollback?{VERSION}", {"version": 1}),
                    ("POST", f"/certificates:add?{VERSION}", json.dumps("a.b.c")),
                    ("POST", f"/certificates:remove?{VERSION}", json.dumps("a.b.c")),
                ]
                if whose != name
                else []
            ),
        ):
            answer = tenants.at(name, method, path, body, token)
            if whose == name:
                assert answer.status == 200, (path, answer.body)
            else:
                assert (answer.status, answer.error["code"]) == (401, "Unauthorized"), (whose, name, path, answer.body)


def test_a_change_at_one_is_none_at_the_others(tenants, tokens):
    before = {name: tenants.policy(name, tokens[name]) for name in ADDRESSES}
    for name, text in (("default", POLICY), ("alpha", DENYING), ("beta", RENAMING)):
        answer = tenants.at(name, "PUT", f"/policies/SgxEnclave?{VERSION}", unsigned(text), tokens[name])
        assert answer.status == 200, answer.body
    set_here = {"default": POLICY, "alpha": DENYING, "beta": RENAMING}
    for name in ADDRESSES:
        expected = set_here.get(name, before[name])
        assert tenants.policy(name, tokens[name]) == expected, name
    # The path and the host are matched without regard to case and port, the path before the host.
    upper = tenants.service.request(
        "GET", f"/BETA/policies/SgxEnclave?{VERSION}", headers={"Authorization": f"Bearer {tokens['beta']}"}
    )
    assert upper.status == 200
    answer = tenants.at("beta", "GET", f"/certificates?{VERSION}", token=tokens["beta"], host="alpha.attest.example")
    assert decode(answer.token)[1]["iss"] == tenants.uri("beta")
    for host in ("Alpha.Attest.Example:443", "alpha.internal.example"):
        answer = tenants.at("alpha", "GET", f"/certificates?{VERSION}", token=tokens["alpha"], host=host)
        assert decode(answer.token)[1]["iss"] == ALPHA_URI
    # An unknown host and an unknown path are the default provider's; of the path it has nothing.
    answer = tenants.at("default", "GET", f"/certificates?{VERSION}", token=tokens["default"], host="gamma.example")
    assert decode(answer.token)[1]["iss"] == tenants.uri()
    assert tenants.service.request("GET", f"/betamax/certificates?{VERSION}").status == 404


def test_evidence_is_judged_by_the_provider_it_is_sent_to(tenants, tokens, json_quote):
    """By its policy, and by its baseline: that of `signed` does not accept a machine so long out of date."""
    for name, text in (("default", POLICY), ("alpha", DENYING), ("beta", RENAMING)):
        tenants.at(name, "PUT", f"/policies/SgxEnclave?{VERSION}", unsigned(text), tokens[name])

    def attest(name):
        body = {json_quote.field: b64url(json_quote.evidence)}
        return tenants.at(name, "POST", f"/attest/{json_quote.kind}?{VERSION}", body)

    for name, expected in (("default", POLICY_HASH), ("beta", policy_hash(RENAMING)), ("shared", policy_hash(RENAMING))):
        claims = decode(attest(name).token)[1]
        assert (claims["iss"], claims["x-ms-policy-hash"]) == (issuer(tenants, name), expected)
    for name, code in (("alpha", "PolicyEvaluationError"), ("signed", "InvalidParameter")):
        answer = attest(name)
        assert (answer.status, answer.error["code"]) == (400, code), answer.body


def test_a_shared_provider_follows_its_file(tenants, directory, tokens):
    token = tokens["shared"]
    assert tenants.policy("shared", token) == RENAMING
    for method, path, body in (
        ("PUT", "/policies/SgxEnclave", unsigned(POLICY)),
        ("PUT", "/policies/OpenEnclave", unsigned(POLICY)),
        ("POST", "/policies/SgxEnclave:reset", "eyJhbGciOiJub25lIn0.."),
    ):
        answer = tenants.at("shared", method, f"{path}?{VERSION}", body, token)
        assert (answer.status, answer.error["code"]) == (400, "InvalidOperation"), answer.body
    answer = tenants.at("shared", "GET", f"/certificates?{VERSION}", token=token)
    assert decode(answer.token)[1]["x-ms-policy-certificates"] == {"keys": []}
    assert tenants.policy("shared", token) == RENAMING


def test_a_provider_that_is_taken_out_and_put_back_finds_its_policies(directory, tmp_path):
    """And what the configuration cannot change is refused with a word about it."""
    def written(text):
        path = tmp_path / "vouchsafe.toml"
        path.write_text("[endorsements]\npcs_urls = []\n" + text)
        return ("--config", path)

    data = tmp_path / "data"
    team = '[[providers]]\nname = "team"\npath_prefix = "team"\n'
    get = ("GET", f"/policies/SgxEnclave?{VERSION}")
    with Service(*written(team), data_dir=data) as service:
        tenants = Managed(service)
        token = tenants.token("team")
        assert tenants.request("team", token, "PUT", get[1], unsigned(RENAMING)).status == 200
    with Service(*written(""), data_dir=data) as service:
        assert Managed(service).request("team", token, *get).status == 404
    renamed = team.replace('path_prefix = "team"', 'path_prefix = "crew"')
    with Service(*written(renamed), data_dir=data) as service:
        answer = Managed(service).request("crew", token, *get)
        assert unsigned(RENAMING) == decode(answer.token)[1]["x-ms-policy"]
    (tmp_path / "signer.pem").write_text(Signer("Signer").certificate)
    isolated = team + 'trust_model = "isolated"\npolicy_signer_certificates = ["signer.pem"]\n'
    with pytest.raises(AssertionError, match="trust_model"):
        Service(*written(isolated), data_dir=data).start()
