/**
 * Interceptors for axios.
 *
 * @packageDocumentation
 */
import type { AxiosInstance, AxiosResponse, InternalAxiosRequestConfig } from "axios";
import type { TokenProvider } from "../provider.ts";
import type { Token } from "../token.ts";
import { replaced } from "./refusal.ts";

/** Marks the configuration of a repeated request. axios copies properties, but not symbols. */
const REPEATED = "mintonceRepeated";

/** Stands where the token was. */
const MASK = "[redacted]";

/**
 * Makes the instance send the source's token. After a 401 it rejects the token and repeats the request once with the
 * successor. When the token cannot be replaced, the result is the API's own 401, with a warning.
 *
 * For axios's `http` adapter, the default on Node. axios does not send the token to another host after a redirect, and a
 * 401 from there rejects nothing. A request whose body is a stream is not repeated, since the stream has been read; the
 * token is still rejected.
 *
 * Answers and errors do not print the token: their `config` has a mask in its place, and `request` is not enumerable.
 *
 * @returns a function that takes the interceptors out again.
 */
export function attachMintonce(instance: AxiosInstance, source: TokenProvider): () => void {
  /** The token of each request. */
  const sent = new WeakMap<object, Token>();

  const request = instance.interceptors.request.use(async (config: InternalAxiosRequestConfig) => {
    const token = await source.get({ signal: config.signal as AbortSignal | undefined });
    config.headers.set("Authorization", token.header);
    // The 401 to a repeated request is final.
    if (!(REPEATED in config)) sent.set(config, token);
    return config;
  });

  /** The answer to the repeated request; undefined if there is none. */
  const again = async (response: AxiosResponse): Promise<AxiosResponse | undefined> => {
    const { config } = response;
    const token = sent.get(config);
    if (token === undefined || !carried(response, token)) return undefined;
    const successor = await replaced(source, token, config.signal as AbortSignal | undefined);
    if (successor === undefined || isStream(config.data)) return undefined;
    discard(response);
    // The body is as the transforms have made it, and axios measures it anew.
    const headers = config.headers.concat();
    headers.delete("Content-Length");
    return instance.request({
      ...config,
      headers,
      transformRequest: [],
      [REPEATED]: true,
    } as InternalAxiosRequestConfig);
  };

  const response = instance.interceptors.response.use(
    async (answer) => veiled(answer.status === 401 ? ((await again(answer)) ?? answer) : answer),
    async (error: unknown) => {
      const { response: refused } = error as { response?: AxiosResponse };
      const answer = refused?.status === 401 ? await again(refused) : undefined;
      if (answer !== undefined) return answer;
      if (refused !== undefined) veiled(refused);
      throw veiled(error);
    },
  );

  return () => {
    instance.interceptors.request.eject(request);
    instance.interceptors.response.eject(response);
  };
}

/**
 * What axios hands out at the end, an answer or an error, prints no token: its configuration has a mask instead, and its
 * request is there but is not printed.
 */
function veiled<T>(outcome: T): T {
  // Errors that are not axios's come here, too.
  const shown = outcome as {
    config?: { headers?: { set?: (name: string, value: string) => unknown } };
    request?: unknown;
  };
  shown.config?.headers?.set?.("Authorization", MASK);
  if (shown.request !== undefined) Object.defineProperty(shown, "request", { enumerable: false });
  return outcome;
}

/** Whether the request that got the answer, the last one after redirects, had exactly our header. */
function carried(response: AxiosResponse, token: Token): boolean {
  const last = response.request as { getHeader?: (name: string) => unknown } | undefined;
  return last?.getHeader?.("authorization") === token.header;
}

/** Lets the connection of a refused request go: with `responseType: "stream"`, its body has not been read. */
function discard(response: AxiosResponse): void {
  const { data } = response as { data: unknown };
  if (isStream(data)) (data as { destroy?: () => void }).destroy?.();
}

function isStream(data: unknown): boolean {
  return typeof data === "object" && data !== null && ("pipe" in data || "getReader" in data);
}
