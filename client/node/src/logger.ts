/** Where warnings go. */

/** Takes warnings: `console`, a pino or winston logger, or one of your own. No message holds a secret. */
export interface Logger {
  warn(message: string): void;
}

/** The default: Node's own warnings, which go to stderr and to `process.on("warning")`. */
export const processWarnings: Logger = {
  warn(message: string): void {
    process.emitWarning(message, "MintonceWarning");
  },
};
