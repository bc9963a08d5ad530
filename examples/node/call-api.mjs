// Calls an API with a shared token: node call-api.mjs CLIENT AUDIENCE URL
// The server's address is in MINTONCE_TARGET, as HOST:PORT. `npm install` first.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const protos = process.env.MINTONCE_PROTOS ?? join(dirname(fileURLToPath(import.meta.url)), "../../protos");
const loaded = loadSync("mintonce/v1/tokens.proto", { includeDirs: [protos], keepCase: true, longs: String });
const { TokenService } = grpc.loadPackageDefinition(loaded).mintonce.v1;

const [client, audience, url] = process.argv.slice(2);
const key = { client, audience };
const service = new TokenService(process.env.MINTONCE_TARGET ?? "127.0.0.1:50051", grpc.credentials.createInsecure());
const deadline = () => ({ deadline: Date.now() + 10_000 });
const ask = (method, request) =>
  promisify((done) => service[method](request, new grpc.Metadata(), deadline(), done))();

// A service keeps the token in memory until `refresh_in` has passed, or watches for its successors.
const get = async () => (await ask("GetToken", { key })).token;
const call = (token) => fetch(url, { headers: { authorization: `Bearer ${token.access_token}` } });

let token = await get();
let answer = await call(token);
if (answer.status === 401) {
  // The API refused the token before its expiry. No caller in the fleet gets it any more.
  await ask("RejectToken", { key, generation: token.generation });
  token = await get();
  answer = await call(token);
}
console.log(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
service.close();
