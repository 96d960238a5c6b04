"""`vouchsafe serve` as an operator sees it: start, stop, restart, baseline, wrong configuration."""

import json
import signal
import socket
import threading
import time

import pytest

from harness import ALL_TCB_STATUSES, Service, b64url, decode, run


def certs(service):
    answer = service.request("GET", "/certs")
    assert answer.status == 200
    return answer.json()["keys"]


def port_of(service):
    return service.address[1]


def test_zero_configuration(tmp_path):
    """No flag but where to keep things: it starts, says where it is, and answers."""
    with Service(data_dir=tmp_path / "data") as service:
        assert service.uri.startswith("https://"), service.uri
        metadata = service.request("GET", "/.well-known/openid-configuration").json()
        assert metadata["issuer"] == service.uri
        assert certs(service)
        ready = next(line for line in service.stdout if line.startswith("ready "))
        assert ready == f"ready {service.uri}", "the ready line holds the URI and nothing else"
        print(f"{ready}; standard output: {service.stdout}")
        for path in ["/healthz/live", "/healthz/ready"]:
            answer = service.request("GET", path)
            assert answer.status in (200, 204), (path, answer.status)
    assert not (tmp_path / "data" / "ca.pem").read_text().count("PRIVATE"), "ca.pem is for handing out"
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            assert path.stat().st_mode & 0o077 == 0, f"{path.name} is readable by others"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_clean_stop(tmp_path, name):
    service = Service(data_dir=tmp_path / "data").start()
    assert service.stop(getattr(signal, name)) == 0
    print(f"{name}: exit 0")


def test_keys_and_ca_are_kept_across_a_restart(tmp_path):
    data = tmp_path / "data"
    with Service(data_dir=data) as first:
        before, ca, port, uri = certs(first), first.ca.read_bytes(), port_of(first), first.uri
        assert first.stop() == 0
    with Service(data_dir=data, listen=f"127.0.0.1:{port}") as second:
        assert second.uri == uri
        assert second.ca.read_bytes() == ca
        assert certs(second) == before, "same URI: same key, same certificate"
    print(f"restarted at {uri}: key {before[0]['kid']} and its certificate are the same")


def test_the_certificate_follows_the_uri_and_the_key_stays(tmp_path):
    data = tmp_path / "data"
    with Service(data_dir=data) as first:
        before, port = certs(first), port_of(first)
    other = port + 1 if port < 65000 else port - 1
    with Service(data_dir=data, listen=f"127.0.0.1:{other}") as second:
        after = certs(second)
        # The second id is the certificate's.
        assert len(after) == len(before) and after[0]["kid"] == before[0]["kid"], "the key is kept"
        assert after[0]["x5c"] != before[0]["x5c"], "the certificate names the new URI"
    print(f"moved from port {port} to {other}: key {after[0]['kid']} kept, certificate reissued")


def test_tokens_outlive_a_restart(tmp_path, json_quote):
    """A token issued before the restart verifies with the keys published after it."""
    import jwt

    args = json_quote.endorsed.serve_args()
    with Service(*args, data_dir=tmp_path / "data") as first:
        token, port = first.attest(json_quote).token, port_of(first)
    with Service(*args, data_dir=tmp_path / "data", listen=f"127.0.0.1:{port}") as second:
        keys = jwt.PyJWKClient(f"{second.uri}/certs", ssl_context=second.tls())
        claims = jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["RS256"], issuer=second.uri)
    print(f"token of before the restart, jti {claims['jti'][:12]}…, verifies")


def test_requests_in_flight_finish_before_the_stop(tmp_path, json_quote):
    with Service(*json_quote.endorsed.serve_args(), data_dir=tmp_path / "data") as service:
        service.attest(json_quote)
        outcomes, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    outcomes.append(service.attest(json_quote).status)
                except OSError:
                    outcomes.append("refused connection")
                    return

        workers = [threading.Thread(target=ask) for _ in range(4)]
        for worker in workers:
            worker.start()
        threading.Event().wait(1)
        code = service.stop()
        stop.set()
        for worker in workers:
            worker.join()
    assert code == 0
    broken = [o for o in outcomes if o not in (200, "refused connection")]
    assert outcomes.count(200) > 4 and not broken, broken
    print(f"{outcomes.count(200)} answers, then SIGTERM: exit 0, no request half answered")


def test_baseline_decides_about_the_tcb_status(tmp_path, json_quote):
    """The default baseline does not take an out-of-date machine, and names its status."""
    with Service(*json_quote.endorsed.serve_args(accept=[]), data_dir=tmp_path / "data") as service:
        answer = service.attest(json_quote)
        assert answer.status == 400, answer.body
        assert "OutOfDate" in answer.error["message"], answer.error
        print(f"default baseline: {answer.error['code']}: {answer.error['message']}")


@pytest.mark.parametrize("number,accepted", [(17, True), (18, False)])
def test_min_tcb_evaluation(tmp_path, json_quote, number, accepted):
    args = [*json_quote.endorsed.serve_args(), "--min-tcb-evaluation", number]
    with Service(*args, data_dir=tmp_path / "data") as service:
        answer = service.attest(json_quote)
        assert (answer.status == 200) == accepted, answer.body
        if not accepted:
            assert "18" in answer.error["message"] and "17" in answer.error["message"], answer.error
            print(answer.error["message"])


def test_tcb_identifier_of_the_policy(tmp_path, json_quote):
    """The policy's configuration rules choose the baseline, and the token says which."""

    def policy(identifier):
        return (
            f'version=1.1; configurationrules{{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="{identifier}");}}; '
            "authorizationrules{=> permit();}; issuancerules{};"
        )

    with Service(*json_quote.endorsed.serve_args(), data_dir=tmp_path / "data") as service:
        for identifier, accepted in [("azuredefault", True), ("17", True), ("18", False)]:
            answer = service.attest(json_quote, draftPolicyForAttestation=policy(identifier))
            assert (answer.status == 200) == accepted, (identifier, answer.body)
            if accepted:
                assert decode(answer.token)[1]["x-ms-sgx-tcbidentifier"] == identifier
            print(f"{identifier}: {answer.status} {'' if accepted else answer.error['message']}")


def test_max_endorsement_age(tmp_path, json_quote):
    """The endorsements are 15 days old at the date of the appraisal."""
    for days, accepted in [(1, False), (60, True)]:
        args = [*json_quote.endorsed.serve_args(), "--max-endorsement-age", days]
        with Service(*args, data_dir=tmp_path / f"data{days}") as service:
            answer = service.attest(json_quote)
            assert (answer.status == 200) == accepted, (days, answer.body)
            print(f"{days} days: {answer.status} {'' if accepted else answer.error['message']}")


def test_endorsements_out_of_their_window(tmp_path, json_quote):
    """A year later everything has expired; the answer names the item and the date."""
    args = ["--danger-appraise-at", "2026-02-05T00:00:00Z"]
    for path in json_quote.endorsed.files:
        args += ["--endorsements", path]
    with Service(*args, *[a for s in ALL_TCB_STATUSES for a in ("--accept-tcb-status", s)], data_dir=tmp_path / "data") as service:
        answer = service.attest(json_quote)
        assert 400 <= answer.status < 600 and answer.status != 500, answer.body
        message = answer.error["message"]
        assert "2025-0" in message, message
        print(f"{answer.status} {answer.error['code']}: {message}")


def test_appraise_at_is_loud_and_leaves_token_times_alone(services, json_quote):
    service = services(json_quote)
    claims = decode(service.attest(json_quote).token)[1]
    assert abs(claims["iat"] - time.time()) < 60 and claims["exp"] - claims["iat"] == 28800
    said = "\n".join(service.stdout) + service.stderr()
    assert json_quote.endorsed.at[:10] in said and "danger" in said.lower(), "the log says that time is replaced"
    print(f"appraised as of {json_quote.endorsed.at}, token issued now ({claims['iat']})")


def test_appraise_at_is_refused_in_production(tmp_path):
    config = tmp_path / "vouchsafe.toml"
    config.write_text("production = true\n")
    done = run("serve", "--config", config, "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", "--danger-appraise-at", "2025-02-05T00:00:00Z")
    assert done.returncode == 2, done.stderr
    assert "danger-appraise-at" in done.stderr or "danger_appraise_at" in done.stderr


@pytest.mark.parametrize(
    "text,word",
    [("no_such_key = 1\n", "no_such_key"), ("listen = 7\n", "listen"), ("listen = \n", "vouchsafe.toml")],
    ids=["unknown key", "wrong type", "not TOML"],
)
def test_wrong_configuration_names_the_key(tmp_path, text, word):
    config = tmp_path / "vouchsafe.toml"
    config.write_text(text)
    done = run("serve", "--config", config, "--data-dir", tmp_path / "d")
    assert done.returncode == 2, done.stderr
    assert word in done.stderr and not done.stdout.startswith("ready"), done.stderr


@pytest.mark.parametrize(
    "args,word",
    [
        (["--accept-tcb-status", "Fine"], "Fine"),
        (["--danger-appraise-at", "yesterday"], "yesterday"),
        (["--endorsements", "/no/such/place"], "/no/such/place"),
        (["--min-tcb-evaluation", "many"], "many"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_wrong_flags(tmp_path, args, word):
    done = run("serve", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", *args)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr


def test_a_taken_port(tmp_path):
    with Service(data_dir=tmp_path / "one") as service:
        done = run("serve", "--data-dir", tmp_path / "two", "--listen", f"127.0.0.1:{port_of(service)}")
        assert done.returncode not in (0, 101), done.stderr
        assert str(port_of(service)) in done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_es256_by_configuration(tmp_path, json_quote):
    """ES256 tokens verify by discovery alone, too; metadata advertises what the provider signs with."""
    import jwt

    args = [*json_quote.endorsed.serve_args(), "--token-algorithm", "ES256"]
    with Service(*args, data_dir=tmp_path / "data") as service:
        token = service.attest(json_quote).token
        metadata = service.request("GET", "/.well-known/openid-configuration").json()
        assert metadata["id_token_signing_alg_values_supported"] == ["ES256"]
        keys = jwt.PyJWKClient(metadata["jwks_uri"], ssl_context=service.tls())
        claims = jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["ES256"], issuer=service.uri)
        assert decode(token)[0]["alg"] == "ES256"
    print(f"ES256: {len(claims)} claims verified")


def test_a_path_prefix_stands_before_every_route(tmp_path, json_quote):
    """`/team1` is a provider of its own name: the SDKs append their paths to it."""
    from azure.security.attestation import AttestationClient

    from test_sdk_python import FakeCredential

    port = free_port()
    uri = f"https://127.0.0.1:{port}/team1"
    args = [*json_quote.endorsed.serve_args(), "--uri", uri]
    with Service(*args, data_dir=tmp_path / "data", listen=f"127.0.0.1:{port}") as service:
        assert service.uri == uri
        client = AttestationClient(uri, FakeCredential(), connection_verify=str(service.ca))
        result, token = client.attest_sgx_enclave(json_quote.evidence, validate_issuer=True, issuer=uri)
        assert result.issuer == uri and token.key_url == f"{uri}/certs"
        assert client.get_open_id_metadata()["jwks_uri"] == f"{uri}/certs"
        outside = service.request("POST", "/attest/SgxEnclave?api-version=2020-10-01", {"quote": b64url(json_quote.evidence)})
        assert outside.status == 404, "no provider without the prefix"
    print(f"the SDK attested at {uri}")


@pytest.mark.parametrize("prefix", ["attest", "certs", "policies", ".well-known"])
def test_reserved_words_are_no_prefixes(tmp_path, prefix):
    done = run("serve", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", "--uri", f"https://attest.example/{prefix}")
    assert done.returncode == 2 and prefix in done.stderr, done


def test_legacy_clients_with_a_token_of_a_configured_issuer(tmp_path, json_quote):
    """2018-09-01-preview: the caller's access token verifies against the issuer's key file, or 401."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    issuer, audience = "https://login.example/tenant", "https://attest.example"
    key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k1", "use": "sig", "alg": "RS256"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public]}))
    config = tmp_path / "vouchsafe.toml"
    config.write_text(
        f'[[provider.access_token_issuers]]\nissuer = "{issuer}"\naudience = "{audience}"\njwks_file = "keys.json"\n'
    )
    now = int(time.time())
    good = {"iss": issuer, "aud": audience, "sub": "someone", "iat": now, "nbf": now - 5, "exp": now + 600}

    def bearer(claims, signed_by=key, algorithm="RS256", kid="k1"):
        return {"Authorization": "Bearer " + jwt.encode(claims, signed_by, algorithm=algorithm, headers={"kid": kid})}

    body = {"Quote": b64url(json_quote.evidence), "EnclaveHeldData": b64url(json_quote.runtime)}
    with Service("--config", config, *json_quote.endorsed.serve_args(), data_dir=tmp_path / "data") as service:

        def ask(headers, path="/attest/SgxEnclave"):
            return service.request("POST", f"{path}?api-version=2018-09-01-preview", body, headers)

        for path in ["/attest/SgxEnclave", "/attest/Tee/SgxEnclave"]:
            answer = ask(bearer(good), path)
            assert answer.status == 200, answer.body
            token = answer.json()
            assert isinstance(token, str), "this version answers with the bare token"
            assert decode(token)[1]["x-ms-sgx-ehd"] == body["EnclaveHeldData"]
        for what, headers in {
            "no token": {},
            "not a token": {"Authorization": "Bearer a.b.c"},
            "another's signature": bearer(good, signed_by=other),
            "unsigned": bearer(good, signed_by=None, algorithm="none"),
            "a public key as secret": bearer(good, signed_by="k" * 64, algorithm="HS256"),
            "expired": bearer(good | {"exp": now - 3600}),
            "not yet valid": bearer(good | {"nbf": now + 3600}),
            "no expiry": bearer({k: v for k, v in good.items() if k != "exp"}),
            "another audience": bearer(good | {"aud": "https://elsewhere.example"}),
            "another issuer": bearer(good | {"iss": "https://elsewhere.example"}),
        }.items():
            answer = ask(headers)
            assert answer.status == 401 and answer.error["code"] == "Unauthorized", (what, answer.status, answer.body)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), what
            print(f"{what}: 401 {answer.error['message']}")
