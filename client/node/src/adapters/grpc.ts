/**
 * The source's token for calls of grpc-js to APIs of the same OAuth domain.
 *
 * Reads memory only and never waits. After an UNAUTHENTICATED, call `source.reject(token)` and then the API again.
 *
 * @packageDocumentation
 */
import {
  CallCredentials,
  type ChannelCredentials,
  type ClientOptions,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
} from "@grpc/grpc-js";
import { isLocal, proxyVariable } from "../local.ts";
import type { TokenProvider } from "../provider.ts";

/**
 * Credentials for a channel over TLS on which each call has the token. Throws for credentials that are not secure.
 *
 * grpc-js would send call credentials in clear when they are given to a single call of an insecure channel; so there is
 * no function here that returns them alone.
 *
 * @param secure - how to speak TLS. Default: with this host's authorities.
 */
export function channelCredentials(
  source: TokenProvider,
  secure: ChannelCredentials = credentials.createSsl(),
): ChannelCredentials {
  return credentials.combineChannelCredentials(secure, callCredentials(source));
}

/**
 * Options for a client in clear to a Unix socket or loopback: each call has the token, and no HTTP proxy is used. A call
 * to any other target throws a TypeError and sends nothing.
 */
export function loopbackOptions(source: TokenProvider): ClientOptions {
  return { interceptors: [intercept(source, true)], "grpc.enable_http_proxy": 0 };
}

/**
 * The interceptor of `loopbackOptions`, for a client that has other `interceptors`, too. It cannot see whether its
 * channel goes through an HTTP proxy: while a variable such as `http_proxy` applies to the target, each call throws a
 * TypeError and sends nothing.
 */
export function loopbackInterceptor(source: TokenProvider): Interceptor {
  return intercept(source, false);
}

function intercept(source: TokenProvider, direct: boolean): Interceptor {
  return (options, nextCall) => {
    const call = nextCall(options);
    // Before a call has begun, its peer is the target of the channel.
    const target = call.getPeer();
    if (!isLocal(target)) {
      throw new TypeError(`a token would travel in clear to ${target}: use TLS, and channelCredentials`);
    }
    const variable = direct ? undefined : proxyVariable(target);
    if (variable !== undefined) {
      throw new TypeError(
        `a token would travel in clear through the proxy of the variable ${variable}: ` +
          'use loopbackOptions, which set "grpc.enable_http_proxy": 0, or name the host in no_proxy',
      );
    }
    return new InterceptingCall(call, {
      start(metadata, listener, next) {
        metadata.set("authorization", source.token().header);
        next(metadata, listener);
      },
    });
  };
}

function callCredentials(source: TokenProvider): CallCredentials {
  return CallCredentials.createFromMetadataGenerator((_, done) => {
    const metadata = new Metadata();
    try {
      metadata.set("authorization", source.token().header);
    } catch (error) {
      done(error as Error);
      return;
    }
    done(null, metadata);
  });
}
