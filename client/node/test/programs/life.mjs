// Opens, reads, rejects and closes, and then has nothing more to do: the process must end by itself.
import { Client, MintonceError, TokenSource } from "@mintonce/client";
import { withMintonce } from "@mintonce/client/fetch";

async function main() {
  const source = await TokenSource.open("billing", { audience: "https://api.example.com/" });
  const first = source.token();
  const next = await source.reject(first);
  const client = new Client();
  const watch = client.watch("billing");
  await watch.next();
  await client.close();
  await source.close();
  try {
    await TokenSource.open("billing", { target: "127.0.0.1:1" });
  } catch (error) {
    console.log(first.generation < next.generation, typeof withMintonce, MintonceError.is(error), error.reason);
  }
}

void main();
