// What every program here does: for each line on stdin it asks its SDK for a token, and prints a line of JSON.
//
// First {"ready": true}; then {"sha256": the first 16 hex digits of the token's SHA-256}, or
// {"error": what the user of the SDK sees, "leak": whether printing the error would show the secret}. Never a token.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { inspect } from "node:util";

const { SDK_TOKEN_URL, SDK_CLIENT_ID, SDK_CLIENT_SECRET, SDK_AUDIENCE } = process.env;

export const tokenUrl = SDK_TOKEN_URL;
export const { origin, host, pathname } = new URL(SDK_TOKEN_URL);
export const clientId = SDK_CLIENT_ID;
export const clientSecret = SDK_CLIENT_SECRET;
export const audience = SDK_AUDIENCE;

/** Until stdin ends. `token`: an async function that gives the text of a token. */
export async function answer(token) {
  console.log(JSON.stringify({ ready: true }));
  for await (const _ of createInterface({ input: process.stdin })) {
    let said;
    try {
      said = { sha256: createHash("sha256").update(await token()).digest("hex").slice(0, 16) };
    } catch (error) {
      said = { error: text(error), leak: shows(error) };
    }
    console.log(JSON.stringify(said));
  }
}

/** As a program would log it: the error, what it says in fields of its own, and what it wraps. */
function text(error) {
  const words = error instanceof Error ? [String(error)] : [""];
  for (const name of ["status", "statusCode", "code", "errorCode", "error", "error_description", "body"]) {
    const value = error[name];
    if ((typeof value === "string" || typeof value === "number") && !words[0].includes(value)) {
      words.push(`${name}: ${value}`);
    }
  }
  if (error.data?.payload) words.push(`payload: ${JSON.stringify(error.data.payload)}`);
  if (error.cause) words.push(`cause: ${text(error.cause)}`);
  return words.filter(Boolean).join("; ");
}

/** Whether the secret, plain or as HTTP Basic, is in what `console.error(error)` would print. */
function shows(error) {
  const printed = inspect(error, { maxStringLength: null });
  const basic = Buffer.from(`${clientId}:${clientSecret}`).toString("base64");
  return printed.includes(clientSecret) || printed.includes(basic);
}
