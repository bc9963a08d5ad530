/** A request by each library that there is an adapter for. All of them follow redirects. */
import { Readable } from "node:stream";
import axios from "axios";
import { Agent, interceptors, request } from "undici";
import { attachMintonce } from "../src/adapters/axios.ts";
import { withMintonce } from "../src/adapters/fetch.ts";
import { mintonceInterceptor } from "../src/adapters/undici.ts";
import type { TokenProvider } from "../src/index.ts";

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly body: { readonly text?: string; readonly stream?: string } | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

type Adapter = (source: TokenProvider, request: HttpRequest) => Promise<HttpAnswer>;

const streamed = (text: string): Readable => Readable.from([Buffer.from(text)]);

export const adapters: Readonly<Record<string, Adapter>> = {
  async fetch(source, { method, url, body }) {
    const stream = body?.stream === undefined ? undefined : new Blob([body.stream]).stream();
    const response = await withMintonce(fetch, source)(url, {
      method,
      body: body?.text ?? stream ?? null,
      ...(stream === undefined ? {} : { duplex: "half" }),
    });
    return { status: response.status, body: await response.text() };
  },
  async undici(source, { method, url, body }) {
    const agent = new Agent();
    const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: 5 }), mintonceInterceptor(source));
    try {
      const response = await request(url, {
        dispatcher,
        method: method as "GET",
        body: body?.text ?? (body?.stream === undefined ? null : streamed(body.stream)),
      });
      return { status: response.statusCode, body: await response.body.text() };
    } finally {
      await agent.destroy();
    }
  },
  async axios(source, { method, url, body }) {
    const instance = axios.create({
      validateStatus: () => true,
      responseType: "text",
      transformResponse: (text: string) => text,
      proxy: false,
    });
    attachMintonce(instance, source);
    const response = await instance.request<string>({
      method,
      url,
      data: body?.text ?? (body?.stream === undefined ? undefined : streamed(body.stream)),
      headers: { "content-type": "text/plain" },
    });
    return { status: response.status, body: response.data };
  },
};
