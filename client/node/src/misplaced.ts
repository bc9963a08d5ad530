/** A secret that was given where the name of its file, or a target, belongs. No message may show it. */

/** An API key of the server, a JWT, PEM, or what no path and no target has: a control character, as at a line's end. */
const SECRET = /^mok_|^eyJ|-----BEGIN|PRIVATE KEY|\p{Cc}/u;

/** Whether it may be a key or a token. */
export function looksSecret(text: string): boolean {
  return SECRET.test(text);
}
