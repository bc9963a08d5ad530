/** A call of another service's API with the source's token. */
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import { channelCredentials, loopbackOptions } from "../src/adapters/grpc.ts";
import type { TokenProvider } from "../src/index.ts";

/** The name of the status that the call ends with. */
export async function grpcCall(
  source: TokenProvider,
  target: string,
  tls: { readonly ca_file?: string; readonly server_name?: string } | undefined,
): Promise<string> {
  const secure = (): grpc.ChannelCredentials =>
    channelCredentials(source, grpc.credentials.createSsl(tls?.ca_file == null ? null : readFileSync(tls.ca_file)));
  const name = tls?.server_name;
  const client =
    tls === undefined
      ? new grpc.Client(target, grpc.credentials.createInsecure(), loopbackOptions(source))
      : new grpc.Client(
          target,
          secure(),
          name == null ? {} : { "grpc.ssl_target_name_override": name, "grpc.default_authority": name },
        );
  try {
    return await new Promise((resolve) => {
      const pass = (bytes: Buffer): Buffer => bytes;
      const deadline = Date.now() + 5000;
      client.makeUnaryRequest(
        "/mintonce.v1.TokenService/GetToken",
        pass,
        pass,
        Buffer.alloc(0),
        { deadline },
        (error) => {
          if (error === null) resolve("OK");
          else resolve(grpc.status[error.code]);
        },
      );
    });
  } finally {
    client.close();
  }
}
