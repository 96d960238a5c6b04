// The running services and the evidence that they accept, as serve_then.py describes them.
import { readFileSync } from "node:fs";

export const items = JSON.parse(readFileSync(process.env.VOUCHSAFE_ACCEPTANCE, "utf8")).items.map((item) => ({
  ...item,
  evidence: Buffer.from(item.evidence, "base64url"),
  runtime: item.runtime === null ? null : Buffer.from(item.runtime, "base64url"),
}));

export const named = (name) => items.find((item) => item.name === name);

// Header and claims of a compact JWS, unchecked.
export function decode(token) {
  const [header, claims] = token.split(".");
  return [header, claims].map((part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8")));
}
