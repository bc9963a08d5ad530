/**
 * The client of Mintonce: OAuth 2.0 access tokens that a fleet shares.
 *
 * @packageDocumentation
 */
export { Client, type GetOptions, type ListOptions, type RejectOptions, type WaitOptions } from "./client.ts";
export {
  Closed,
  type Code,
  type ErrorDetails,
  MintonceError,
  Refused,
  TokenExpired,
  Unavailable,
  Unreachable,
} from "./errors.ts";
export type { Logger } from "./logger.ts";
export type { ConnectionOptions, Tls } from "./options.ts";
export type { TokenProvider } from "./provider.ts";
export { type SourceOptions, TokenSource } from "./source.ts";
export { type Origin, Token, type TokenFields } from "./token.ts";
export type { Watch } from "./watch.ts";
export type { KeyOptions, Rotation, TokenPage, TokenSummary } from "./wire.ts";
