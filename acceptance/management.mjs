// The published administration client for JavaScript, unmodified, against the providers that
// test_management.py starts. It validates every answer.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

import { AttestationAdministrationClient, AttestationClient, createAttestationPolicyToken } from "@azure/attestation";

const POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
const known = JSON.parse(process.env.KNOWN);
const file = (name) => fs.readFileSync(path.join(process.env.FILES, name), "utf8");
const signer = { privateKey: file("signer.key"), certificate: file("signer.pem") };
const curve = { privateKey: file("curve.key"), certificate: file("curve.pem") };

function client(name, tokenName = name) {
  const token = process.env[`${tokenName}_TOKEN`];
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_000_000 }) };
  const uri = process.env[`${name}_URI`];
  const validationOptions = { validateToken: true, validateIssuer: true, expectedIssuer: uri };
  return new AttestationAdministrationClient(uri, credential, { validationOptions });
}

async function refused(call, code, statusCode = 400) {
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.statusCode, error.code], [statusCode, code], error.message);
    return true;
  });
}

// The hash in an answer, against that of what the SDK has sent.
function checkHash(body, by) {
  const sent = createAttestationPolicyToken(POLICY, by?.privateKey, by?.certificate).serialize();
  assert.equal(Buffer.from(body.policyTokenHash).toString("hex"), createHash("sha256").update(sent).digest("hex"));
}

const unsigned = client("DEFAULT");
const isolated = client("ISOLATED");

for (const kind of ["SgxEnclave", "OpenEnclave", "Tpm"]) {
  const { body } = await unsigned.setPolicy(kind, POLICY);
  assert.equal(body.policyResolution, "Updated");
  assert.equal(body.policySigner, undefined);
  checkHash(body);
  assert.equal(Buffer.from(body.policyTokenHash).toString("base64url"), "c6sEJQItV50OeP9IrP_bzywAMOVvj5uDPbklA_bwdYQ");
  assert.equal((await unsigned.getPolicy(kind)).body, POLICY);
  assert.equal((await unsigned.resetPolicy(kind)).body.policyResolution, "Removed");
  // Of a policy that was never set, the SDK cannot read an empty payload.
  if (kind !== "Tpm") assert.match((await unsigned.getPolicy(kind)).body, /^version= 1\.1;/);
}
assert.deepEqual((await unsigned.getPolicyManagementCertificates()).body, []);
console.log("unsigned policies");

{
  const token = process.env.DEFAULT_READER_TOKEN;
  const machine = new AttestationClient(process.env.DEFAULT_URI, { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_000_000 }) });
  const init = JSON.stringify({ payload: { type: "aikcert" } });
  await refused(() => machine.attestTpm(init), "InvalidOperation");
  await unsigned.setPolicy("Tpm", POLICY);
  const { payload } = JSON.parse(await machine.attestTpm(init));
  assert.equal(Buffer.from(payload.challenge, "base64url").length, 16);
  assert.ok(payload.service_context);
  await unsigned.resetPolicy("Tpm");
  console.log("a machine's challenge");
}

for (const of of [unsigned, isolated]) {
  const { body } = await of.setPolicy("SgxEnclave", POLICY, signer);
  assert.equal(body.policyResolution, "Updated");
  assert.equal(body.policySigner.certificates.length, 1);
  checkHash(body, signer);
  assert.equal((await of.getPolicy("SgxEnclave")).body, POLICY);
  assert.equal((await of.resetPolicy("SgxEnclave", signer)).body.policyResolution, "Removed");
}
console.log("signed policies, RSA");

const certificates = async () => (await isolated.getPolicyManagementCertificates()).body.length;
for (const [added, thumbprint] of [["another.pem", "ANOTHER"], ["curve.pem", "CURVE"]]) {
  const change = [file(added), signer.privateKey, signer.certificate];
  assert.equal(await certificates(), 1);
  for (let again = 0; again < 2; again += 1) {
    const { body } = await isolated.addPolicyManagementCertificate(...change);
    assert.equal(body.certificateResolution, "IsPresent");
    assert.equal(body.certificateThumbprint, process.env[`${thumbprint}_THUMBPRINT`]);
  }
  assert.equal(await certificates(), 2);
  if (added === "curve.pem") {
    const { body } = await isolated.setPolicy("SgxEnclave", POLICY, curve);
    assert.equal(body.policyResolution, "Updated");
    assert.equal((await isolated.getPolicy("SgxEnclave")).body, POLICY);
    assert.equal((await isolated.resetPolicy("SgxEnclave", curve)).body.policyResolution, "Removed");
    console.log("signed policies, P-256");
  }
  for (let again = 0; again < 2; again += 1) {
    assert.equal((await isolated.removePolicyManagementCertificate(...change)).body.certificateResolution, "IsAbsent");
  }
  assert.equal(await certificates(), 1);
}
console.log("certificates");

const change = [file("another.pem"), signer.privateKey, signer.certificate];
await refused(() => isolated.setPolicy("SgxEnclave", POLICY), "InvalidOperation");
await refused(() => isolated.setPolicy("SgxEnclave", POLICY, curve), "InvalidParameter");
await refused(() => isolated.resetPolicy("SgxEnclave"), "InvalidOperation");
const last = [signer.certificate, signer.privateKey, signer.certificate];
await refused(() => isolated.removePolicyManagementCertificate(...last), "InvalidOperation");
await refused(() => unsigned.setPolicy("SgxEnclave", "version=1.0;["), "PolicyParsingError");
await refused(() => unsigned.addPolicyManagementCertificate(...change), "InvalidOperation");
await refused(() => unsigned.removePolicyManagementCertificate(...change), "InvalidOperation");
const reader = client("DEFAULT", "DEFAULT_READER");
assert.match((await reader.getPolicy("SgxEnclave")).body, /^version= 1\.1;/);
await refused(() => reader.setPolicy("SgxEnclave", POLICY), "Unauthorized", 401);
await refused(() => reader.resetPolicy("SgxEnclave"), "Unauthorized", 401);
await refused(() => client("ISOLATED", "DEFAULT").getPolicy("SgxEnclave"), "Unauthorized", 401);
console.log("refusals");

if (process.env.QUOTE) {
  const quote = Buffer.from(process.env.QUOTE, "base64url");
  const policyHash = async (of) => {
    const { body } = await new AttestationClient(process.env[`${of}_URI`]).attestSgxEnclave(quote);
    return [Buffer.from(body.policyHash).toString("base64url"), body.policySigner?.certificates.length ?? 0];
  };
  for (const [name, of, by] of [["DEFAULT", unsigned], ["ISOLATED", isolated, signer]]) {
    assert.deepEqual(await policyHash(name), [known.defaultHash, 0]);
    await of.setPolicy("SgxEnclave", POLICY, by);
    assert.deepEqual(await policyHash(name), [known.policyHash, by ? 1 : 0]);
    await of.setPolicy("SgxEnclave", known.deny, by);
    await refused(() => policyHash(name), "PolicyEvaluationError");
    await of.resetPolicy("SgxEnclave", by);
    assert.deepEqual(await policyHash(name), [known.defaultHash, 0]);
  }
  // An explanation of the denial does not disturb the SDK.
  const explaining = client("EXPLAINING");
  await explaining.setPolicy("SgxEnclave", known.deny);
  await refused(() => policyHash("EXPLAINING"), "PolicyEvaluationError");
  await explaining.resetPolicy("SgxEnclave");
  console.log("verdicts");
}
console.log("all steps done");
