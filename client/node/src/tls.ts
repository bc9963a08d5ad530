/** PEM files into gRPC's credentials, after a check of each: OpenSSL alone fails late and says little. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import tls from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { FileFault, read, Watched } from "./files.ts";
import type { Logger } from "./logger.ts";
import type { Tls } from "./options.ts";

const REMEDY =
  "The files must be there, be PEM, and belong together: see MINTONCE_CA_FILE, MINTONCE_CERTIFICATE_FILE and " +
  "MINTONCE_KEY_FILE, or the option tls.";
const AUTHORITIES = "certificates of authorities";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Credentials that follow the files. Throws Refused when they cannot be used now. */
export function watchedTls(options: Tls, logger: Logger): Watched<ChannelCredentials> {
  const { caFile, certificateFile, keyFile = certificateFile } = options;
  const paths = [caFile, certificateFile, keyFile].filter((path) => path !== undefined);

  const load = (contents: readonly Buffer[]): ChannelCredentials => {
    const known = new Map(paths.map((path, index) => [path, contents[index] ?? Buffer.alloc(0)]));
    const context: tls.SecureContextOptions = {};
    const roots = caFile === undefined ? systemRoots() : certificates(caFile, known.get(caFile), AUTHORITIES);
    if (roots !== undefined) context.ca = roots;
    if (certificateFile !== undefined && keyFile !== undefined) {
      const chain = certificates(certificateFile, known.get(certificateFile), "certificate");
      const key = privateKey(keyFile, known.get(keyFile));
      // OpenSSL itself takes a key of another type than the certificate's.
      if (!new X509Certificate(chain[0] ?? "").checkPrivateKey(key)) {
        throw new FileFault(`the key in ${keyFile} is not that of the certificate in ${certificateFile}`);
      }
      context.cert = chain.join("\n");
      context.key = key.export({ type: "pkcs8", format: "pem" });
    }
    try {
      return credentials.createFromSecureContext(tls.createSecureContext(context));
    } catch (error) {
      throw new FileFault(`${paths.join(" and ")} cannot be used: ${nameOf(error)}`);
    }
  };

  return new Watched(paths, load, REMEDY, logger);
}

/** All certificates of a file. */
function certificates(path: string, content: Buffer | undefined, what: string): string[] {
  const found = content?.toString("latin1").match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new FileFault(`${path} holds no ${what}`);
  for (const pem of found) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw new FileFault(`${path} holds a certificate that cannot be read: ${nameOf(error)}`);
    }
  }
  return found;
}

/** PKCS#8, and what else OpenSSL takes: PKCS#1 and SEC1. Without a passphrase, since nobody is there to type one. */
function privateKey(path: string, content: Buffer | undefined): KeyObject {
  try {
    return createPrivateKey({ key: content ?? "", format: "pem" });
  } catch (error) {
    throw new FileFault(
      `${path} holds no unencrypted private key: ${nameOf(error)}`,
      `Write the key as unencrypted PKCS#8: openssl pkcs8 -topk8 -nocrypt -in ${path} -out ${path}.p8`,
    );
  }
}

/** OpenSSL's name of an error. Its message could quote what it has read. */
function nameOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "unknown error";
}

/** This host's authorities: of SSL_CERT_FILE if that is set. undefined: none, so those that Node brings along. */
function systemRoots(): string[] | undefined {
  const path = process.env["SSL_CERT_FILE"];
  if (path) return certificates(path, read(path), AUTHORITIES);
  // Node 22.15 and later.
  if (typeof tls.getCACertificates !== "function") return undefined;
  const system = tls.getCACertificates("system");
  return system.length === 0 ? undefined : [...system, ...tls.getCACertificates("extra")];
}
