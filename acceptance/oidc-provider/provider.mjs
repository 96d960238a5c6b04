// A certified OpenID provider (the npm package oidc-provider, unmodified) on a port of the loopback interface,
// over TLS. It is an issuer four times, with the same keys: of its own name, of the name that it has on a second
// port without TLS, and of the two names of a Microsoft Entra ID tenant, whose tokens nobody can get here.
//
//   node provider.mjs KEY.pem CERTIFICATE.pem TENANT [PORT]
//
// It prints one line of JSON when it answers, and one for every command on its standard input:
//   clock N  its clock is N seconds ahead from now on
//   rotate   new keys in place of all the old ones
//   stats    how often its discovery documents and key sets were asked for
import { generateKeyPairSync, randomUUID } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import readline from "node:readline";

import Provider from "oidc-provider";

const [key, certificate, tenant, port = "0"] = process.argv.slice(2);

const trueNow = Date.now;
let ahead = 0;
Date.now = () => trueNow() + ahead * 1000;

// What the clients' tokens say beside their scope; the names are the clients'.
const CLAIMS = {
  nobody: {},
  "role-reader": { roles: ["Attestation Reader"] },
  "role-contributor": { roles: ["Attestation Contributor", "Other"] },
  "group-reader": { groups: ["staff", "attestation-readers"] },
  "group-contributor": { groups: ["attestation-admins"] },
  "scope-reader": {},
  "scope-contributor": {},
};
const SCOPES = { "scope-reader": "attest.read", "scope-contributor": "attest.read attest.write" };
const RESOURCE = { scope: "attest.read attest.write", accessTokenFormat: "jwt", accessTokenTTL: 600 };
const sign = (alg) => ({ ...RESOURCE, jwt: { sign: { alg } } });
const RESOURCES = {
  "https://attest.example": { ...sign("RS256"), audience: "https://attest.example" },
  "https://attest.example/es256": { ...sign("ES256"), audience: "https://attest.example" },
  "https://attest.example/ps256": { ...sign("PS256"), audience: "https://attest.example" },
  "https://attest.example/hs256": {
    ...RESOURCE,
    audience: "https://attest.example",
    jwt: { sign: { alg: "HS256", key: Buffer.alloc(32, 1) } },
  },
  "https://attest.example/opaque": { ...RESOURCE, accessTokenFormat: "opaque", audience: "https://attest.example" },
  "https://attest.azure.net": { ...sign("RS256"), audience: "https://attest.azure.net" },
  "https://other.example": { ...sign("RS256"), audience: "https://other.example" },
};

function newKeys() {
  const jwk = (type, options, alg) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: "jwk" }), use: "sig", kid: randomUUID(), ...(alg && { alg }) };
  };
  return { keys: [jwk("rsa", { modulusLength: 2048 }), jwk("ec", { namedCurve: "P-256" }), jwk("ed25519", {})] };
}

function provider(issuer, jwks) {
  const made = new Provider(issuer, {
    jwks,
    clients: Object.keys(CLAIMS).map((client_id) => ({
      client_id,
      client_secret: "secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      scope: SCOPES[client_id],
    })),
    ttl: { ClientCredentials: RESOURCE.accessTokenTTL },
    scopes: ["attest.read", "attest.write"],
    extraTokenClaims: (_, token) => CLAIMS[token.clientId],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "https://attest.example",
        getResourceServerInfo: (_, resource) => RESOURCES[resource],
      },
    },
  });
  return made.callback();
}

const stats = { document: 0, keys: 0 };
let issuers;

function use(jwks) {
  const of = (issuer) => provider(issuer, jwks);
  issuers = {
    "": of(base),
    plain: of(plainBase),
    v2: of(`https://login.microsoftonline.com/${tenant}/v2.0`),
    v1: of(`https://sts.windows.net/${tenant}/`),
  };
}

function answer(request, response) {
  const [, mount, path] = /^(?:\/(v1|v2))?(\/.*)$/.exec(request.url);
  if (path === "/.well-known/openid-configuration") stats.document += 1;
  if (path === "/jwks") stats.keys += 1;
  // Mounted as the package's documentation has it, so that its own addresses have the mount in them.
  request.originalUrl = request.url;
  request.url = path;
  const ofPort = request.socket.encrypted ? "" : "plain";
  issuers[mount ?? ofPort](request, response);
}

const listening = (server, at) => new Promise((resolve) => {
  server.listen(at, "127.0.0.1", () => resolve(`127.0.0.1:${server.address().port}`));
});
const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) };
const base = `https://${await listening(https.createServer(tls, answer), Number(port))}`;
const plainBase = `http://${await listening(http.createServer(answer), 0)}`;
use(newKeys());
console.log(JSON.stringify({ base, plainBase }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, argument] = line.split(" ");
  if (command === "clock") ahead = Number(argument);
  if (command === "rotate") use(newKeys());
  console.log(JSON.stringify(stats));
}).on("close", () => process.exit());
