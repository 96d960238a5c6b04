// Libraries that know nothing of us check a token with the key that discovery finds.
import assert from "node:assert/strict";
import test from "node:test";

import { createRemoteJWKSet, jwtVerify } from "jose";
import { Issuer } from "openid-client";

import { decode, named } from "./node_items.mjs";

const item = named("sdk-test-quote");

async function token() {
  const answer = await fetch(`${item.uri}/attest/SgxEnclave?api-version=2025-06-01`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      quote: item.evidence.toString("base64url"),
      runtimeData: { data: item.runtime.toString("base64url"), dataType: "JSON" },
      nonce: "n-1",
    }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).token;
}

// The same token with one more privilege.
function tampered(jwt) {
  const [header, , signature] = jwt.split(".");
  const claims = { ...decode(jwt)[1], "x-ms-sgx-is-debuggable": true };
  return [header, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
}

test("jose verifies a token found by openid-client's discovery", async () => {
  const issuer = await Issuer.discover(item.uri);
  assert.equal(issuer.metadata.issuer, item.uri);
  const keys = createRemoteJWKSet(new URL(issuer.metadata.jwks_uri));
  const options = { issuer: item.uri, algorithms: issuer.metadata.id_token_signing_alg_values_supported, typ: "JWT" };
  const jwt = await token();
  const { payload, protectedHeader } = await jwtVerify(jwt, keys, options);
  assert.equal(payload.nonce, "n-1");
  assert.equal(payload["x-ms-sgx-mrenclave"], item.claims["x-ms-sgx-mrenclave"]);
  await assert.rejects(jwtVerify(tampered(jwt), keys, options), { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" });
  await assert.rejects(jwtVerify(jwt, keys, { ...options, issuer: "https://elsewhere.example" }), {
    code: "ERR_JWT_CLAIM_VALIDATION_FAILED",
  });
  console.log(`  ${protectedHeader.alg} key ${protectedHeader.kid}, ${Object.keys(payload).length} claims`);
});
