/** Text from a server, made fit for logs and terminals. */

const CUT = "...";
/** Controls, formats, surrogates, unassigned characters, and separators other than the space. */
const INVISIBLE = /[\p{C}\p{Z}]/gu;

/** The text with everything that a terminal would obey as an escape; cut to `limit` characters, with dots then. */
export function visible(text: string, limit: number): string {
  const shown = text
    .slice(0, limit + 1)
    .replace(INVISIBLE, (character) => (character === " " ? " " : escaped(character)));
  return shown.length <= limit ? shown : shown.slice(0, limit - CUT.length) + CUT;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}
