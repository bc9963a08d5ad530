/** Certificates for tests, made on the spot. X.509 (RFC 5280) in DER needs little more than nested lengths. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

export interface Identity {
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export interface Wishes {
  readonly by?: Identity;
  readonly alternativeNames?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly keyType?: "ec" | "rsa";
}

const DAY = 86_400_000;

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const length =
    content.length < 0x80
      ? [content.length]
      : content.length < 0x100
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
};
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const identifier = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const time = (date: Date): Buffer => der(0x18, Buffer.from(`${date.toISOString().replace(/\D/g, "").slice(0, 14)}Z`));
const commonName = (name: string): Buffer =>
  sequence(der(0x31, sequence(identifier("550403"), der(0x0c, Buffer.from(name)))));
const extension = (hex: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(identifier(hex), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
const alternative = (name: string): Buffer =>
  isIP(name) === 4 ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name));

const SIGNATURES = {
  ec: sequence(identifier("2a8648ce3d040302")),
  rsa: sequence(identifier("2a864886f70d01010b"), der(0x05)),
};

function keys(type: "ec" | "rsa"): { publicKey: KeyObject; privateKey: KeyObject } {
  return type === "ec"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
}

/** A certificate and its key: an authority unless another one signs it. */
export function identity(name: string, wishes: Wishes = {}): Identity {
  const { publicKey, privateKey } = keys(wishes.keyType ?? "ec");
  const signer = wishes.by === undefined ? privateKey : createPrivateKey(wishes.by.key);
  const algorithm = SIGNATURES[signer.asymmetricKeyType === "rsa" ? "rsa" : "ec"];
  const names = wishes.alternativeNames ?? [];
  const extensions = [
    ...(wishes.by === undefined ? [extension("551d13", true, sequence(der(0x01, Buffer.from([0xff]))))] : []),
    ...(names.length > 0 ? [extension("551d11", false, sequence(...names.map(alternative)))] : []),
  ];
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    algorithm,
    commonName(wishes.by?.name ?? name),
    sequence(time(wishes.notBefore ?? new Date(Date.now() - DAY)), time(wishes.notAfter ?? new Date(Date.now() + DAY))),
    commonName(name),
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  );
  const signature = sign("sha256", body, signer);
  const certificate = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    name,
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}
