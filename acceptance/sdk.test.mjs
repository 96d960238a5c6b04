// The published Azure Attestation SDK for JavaScript, unmodified, against running services
// (serve_then.py starts them). Every token goes through the SDK's own validation.
import assert from "node:assert/strict";
import test from "node:test";

import { AttestationClient } from "@azure/attestation";

import { decode, items, named } from "./node_items.mjs";

const credential = { getToken: async () => ({ token: "a.b.c", expiresOnTimestamp: Date.now() + 3600_000 }) };

function attest(client, item, options = {}) {
  return item.kind === "SgxEnclave"
    ? client.attestSgxEnclave(item.evidence, options)
    : client.attestOpenEnclave(item.evidence, options);
}

// Validation as strict as the SDK can be; `seen` collects the signers it found.
function validation(item, seen = []) {
  return {
    validateToken: true,
    validateExpirationTime: true,
    validateNotBeforeTime: true,
    validateIssuer: true,
    expectedIssuer: item.uri,
    validateAttestationToken: (_token, signer) => {
      seen.push(signer);
      return undefined;
    },
  };
}

function checkClaims(item, { token, body }) {
  const [, claims] = decode(token.serialize());
  for (const [name, value] of Object.entries(item.claims)) assert.strictEqual(claims[name], value, name);
  assert.equal(body.mrEnclave, item.claims["x-ms-sgx-mrenclave"]);
  assert.equal(body.mrSigner, item.claims["x-ms-sgx-mrsigner"]);
  assert.equal(body.productId, item.claims["x-ms-sgx-product-id"]);
  assert.equal(body.svn, item.claims["x-ms-sgx-svn"]);
  assert.equal(body.isDebuggable, item.claims["x-ms-sgx-is-debuggable"]);
  assert.equal(body.issuer, item.uri);
  assert.equal(body.verifierType, "sgx");
  assert.equal(body.version, "1.0");
  assert.match(body.sgxCollateral.quotehash, /^[0-9a-f]{64}$/);
}

for (const item of items.filter((i) => i.runtime)) {
  test(`${item.kind} ${item.name}: Binary runtime data`, async () => {
    const seen = [];
    const client = new AttestationClient(item.uri, credential);
    const answer = await attest(client, item, { runTimeData: item.runtime, validationOptions: validation(item, seen) });
    checkClaims(item, answer);
    assert.deepEqual(Buffer.from(answer.body.enclaveHeldData), item.runtime);
    assert.equal(answer.token.algorithm, "RS256");
    assert.equal(seen.length, 1);
    assert.equal(seen[0].keyId, answer.token.keyId, "the SDK found the signer by kid");
    console.log(`  ${item.name}: token of ${answer.token.serialize().length} bytes, signer ${seen[0].keyId}`);
  });
}

for (const item of items.filter((i) => i.runtimeIsJson)) {
  test(`${item.kind} ${item.name}: JSON runtime data`, async () => {
    const client = new AttestationClient(item.uri, credential);
    const answer = await attest(client, item, { runTimeJson: item.runtime, validationOptions: validation(item) });
    checkClaims(item, answer);
    assert.deepEqual(answer.body.runTimeClaims, JSON.parse(item.runtime.toString("utf8")));
    assert.equal(answer.body.enclaveHeldData, undefined);
  });
}

for (const item of items.filter((i) => !i.runtime)) {
  test(`${item.kind} ${item.name}: no runtime data, no credential`, async () => {
    const client = new AttestationClient(item.uri);
    checkClaims(item, await attest(client, item, { validationOptions: validation(item) }));
  });
}

const jsonQuote = named("sdk-test-quote");
const jsonReport = named("sdk-test-report");

for (const [what, wrong] of [
  ["Binary", { runTimeData: Buffer.from("not what the enclave hashed") }],
  ["JSON", { runTimeJson: Buffer.from('{"a":1}') }],
]) {
  test(`wrong ${what} runtime data is refused with an error that says so`, async () => {
    const client = new AttestationClient(jsonQuote.uri, credential);
    await assert.rejects(attest(client, jsonQuote, wrong), (error) => {
      assert.equal(error.statusCode, 400);
      assert.equal(error.code, "InvalidParameter");
      assert.match(error.message, /runtime data/i);
      assert.match(error.message, /report data/i);
      console.log(`  refused: ${error.details?.error?.message ?? error.message}`);
      return true;
    });
  });
}

test("a draft policy gives an unsecured token", async () => {
  const client = new AttestationClient(jsonReport.uri, credential);
  const draftPolicyForAttestation =
    'version=1.0; authorizationrules{=> permit();}; issuancerules{c:[type=="x-ms-sgx-svn"] => issue(type="custom-svn", value=c.value);};';
  const { token, body } = await attest(client, jsonReport, { runTimeJson: jsonReport.runtime, draftPolicyForAttestation });
  assert.equal(token.algorithm, "none");
  assert.ok(token.serialize().endsWith("."));
  assert.deepEqual(body.policyClaims, { "custom-svn": jsonReport.claims["x-ms-sgx-svn"] });
});

test("a draft policy that denies, and one that does not parse", async () => {
  const client = new AttestationClient(jsonReport.uri, credential);
  for (const [draftPolicyForAttestation, code] of [
    ["version=1.0; authorizationrules{=> deny();}; issuancerules{};", "PolicyEvaluationError"],
    ["version=1.0; authorizationrules{[", "PolicyParsingError"],
  ]) {
    await assert.rejects(attest(client, jsonReport, { draftPolicyForAttestation }), { statusCode: 400, code });
  }
});

test("the SDK's validators notice a wrong issuer", async () => {
  const client = new AttestationClient(jsonQuote.uri, credential);
  const validationOptions = { ...validation(jsonQuote), expectedIssuer: "https://elsewhere.example" };
  await assert.rejects(attest(client, jsonQuote, { validationOptions }), /expected issuer/);
});

test("metadata and signers, with and without a credential", async () => {
  for (const client of [new AttestationClient(jsonQuote.uri), new AttestationClient(jsonQuote.uri, credential)]) {
    const metadata = await client.getOpenIdMetadata();
    assert.equal(metadata.issuer, jsonQuote.uri);
    assert.equal(metadata.jwks_uri, `${jsonQuote.uri}/certs`);
    const signers = await client.getAttestationSigners();
    assert.ok(signers.length > 0 && signers.every((s) => s.keyId && s.certificates.length > 0));
    assert.match(signers[0].certificates[0], /^-----BEGIN CERTIFICATE-----/);
  }
});

test("evidence that is not genuine", async () => {
  const forged = Buffer.from(jsonQuote.evidence);
  forged[48 + 64] ^= 1;
  const client = new AttestationClient(jsonQuote.uri, credential);
  await assert.rejects(client.attestSgxEnclave(forged), (error) => {
    assert.equal(error.statusCode, 400);
    console.log(`  refused: ${error.message}`);
    return true;
  });
});
