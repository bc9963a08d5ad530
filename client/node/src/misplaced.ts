/** A secret that was given where the name of its file, or a target, belongs. No message may show it. */

/** An API key of the server, a JWT, or PEM. */
const SECRET = /^mok_|^eyJ|-----BEGIN|PRIVATE KEY/;

/** Whether it may be a key or a token. A secret in a file ends with a new line; no path and no target has one. */
export function looksSecret(text: string): boolean {
  return SECRET.test(text) || [...text].some((character) => character < " " || character === "\u007f");
}
