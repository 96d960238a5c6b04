// The published administration client for JavaScript, unmodified, against the two providers that
// test_management.py starts. It validates every answer.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { AttestationAdministrationClient } from "@azure/attestation";

const POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
const file = (name) => fs.readFileSync(path.join(process.env.FILES, name), "utf8");
const signer = { privateKey: file("signer.key"), certificate: file("signer.pem") };

function client(name) {
  const token = process.env[`${name}_TOKEN`];
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_000_000 }) };
  const uri = process.env[`${name}_URI`];
  const validationOptions = { validateToken: true, validateIssuer: true, expectedIssuer: uri };
  return new AttestationAdministrationClient(uri, credential, { validationOptions });
}

async function refused(call, code) {
  await assert.rejects(call, (error) => error.statusCode === 400 && error.code === code);
}

const unsigned = client("DEFAULT");
const isolated = client("ISOLATED");

for (const kind of ["SgxEnclave", "OpenEnclave", "Tpm"]) {
  assert.equal((await unsigned.setPolicy(kind, POLICY)).body.policyResolution, "Updated");
  assert.equal((await unsigned.getPolicy(kind)).body, POLICY);
  assert.equal((await unsigned.resetPolicy(kind)).body.policyResolution, "Removed");
}
assert.deepEqual((await unsigned.getPolicyManagementCertificates()).body, []);

for (const of of [unsigned, isolated]) {
  const { body } = await of.setPolicy("SgxEnclave", POLICY, signer);
  assert.equal(body.policyResolution, "Updated");
  assert.equal(body.policySigner.certificates.length, 1);
  assert.equal((await of.getPolicy("SgxEnclave")).body, POLICY);
  assert.equal((await of.resetPolicy("SgxEnclave", signer)).body.policyResolution, "Removed");
}

const certificates = async () => (await isolated.getPolicyManagementCertificates()).body.length;
const change = [file("another.pem"), signer.privateKey, signer.certificate];
assert.equal(await certificates(), 1);
const added = (await isolated.addPolicyManagementCertificate(...change)).body;
assert.equal(added.certificateResolution, "IsPresent");
assert.equal(added.certificateThumbprint, process.env.ANOTHER_THUMBPRINT);
assert.equal(await certificates(), 2);
const removed = (await isolated.removePolicyManagementCertificate(...change)).body;
assert.equal(removed.certificateResolution, "IsAbsent");
assert.equal(await certificates(), 1);

await refused(() => isolated.setPolicy("SgxEnclave", POLICY), "InvalidOperation");
await refused(() => unsigned.setPolicy("SgxEnclave", "version=1.0;["), "PolicyParsingError");
await refused(() => unsigned.addPolicyManagementCertificate(...change), "InvalidOperation");
console.log("all steps done");
