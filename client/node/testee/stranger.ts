/**
 * Calls Mintonce with nothing but grpc-js and the protos, as a program without our client does. The environment names the
 * server and the files of its own certificate; see conformance/README.md, "Strangers".
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

interface Token {
  readonly accessToken: string;
  readonly generation: string;
}

type Call = (request: object, answered: (error: grpc.ServiceError | null, answer?: Answer) => void) => void;

interface Answer {
  readonly token?: Token;
  readonly wasCurrent?: boolean;
}

interface Service extends grpc.Client {
  readonly getToken: Call;
  readonly rejectToken: Call;
  readonly watchToken: (request: object) => grpc.ClientReadableStream<Answer>;
}

const protos = fileURLToPath(new URL("../../../protos", import.meta.url));
const definition = loadSync("mintonce/v1/tokens.proto", { includeDirs: [protos], longs: String });
const TokenService = grpc.makeClientConstructor(
  definition["mintonce.v1.TokenService"] as grpc.ServiceDefinition,
  "TokenService",
);

const file = (name: string): Buffer => readFileSync(process.env[name] ?? "");
const service = new TokenService(
  process.env["TARGET"] ?? "",
  grpc.credentials.createSsl(file("CA_FILE"), file("KEY_FILE"), file("CERTIFICATE_FILE")),
) as unknown as Service;

const asked = (call: "getToken" | "rejectToken", request: object): Promise<Answer> =>
  new Promise((resolve, reject) => {
    service[call](request, (error, answer) => {
      if (answer === undefined) reject(error ?? new Error("no answer"));
      else resolve(answer);
    });
  });

const digest = (answer: Answer): string =>
  createHash("sha256")
    .update(answer.token?.accessToken ?? "")
    .digest("hex");

/** The reason in the details of the status. grpc-js hands them out as bytes; the reason stands in them as it is. */
const reason = (error: unknown): string => {
  const [details] = (error as grpc.ServiceError).metadata.get("grpc-status-details-bin");
  return /[A-Z]+(?:_[A-Z]+)+/.exec(details?.toString() ?? "")?.[0] ?? grpc.status[(error as grpc.ServiceError).code];
};

const key = { client: process.env["CLIENT"], audience: process.env["AUDIENCE"] };
const got = await asked("getToken", { key });
const watch = service.watchToken({ key });
const watched = await new Promise<Answer>((resolve, reject) => {
  watch.once("data", resolve).on("error", reject);
});
watch.cancel();
const refused = await asked("getToken", { key: { ...key, client: "nobody" } }).then(() => "OK", reason);
const { wasCurrent } = await asked("rejectToken", { key, generation: got.token?.generation });
const next = await asked("getToken", { key });
process.stdout.write(
  `${JSON.stringify({
    token: digest(got),
    watched: digest(watched),
    refused,
    rejected: wasCurrent,
    successor: digest(next),
  })}\n`,
);
service.close();
