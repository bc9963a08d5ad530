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
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
} from "@grpc/grpc-js";
import { isLocal } from "../local.ts";
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
 * For `interceptors` of a client in clear to a Unix socket or loopback: each call has the token. A call to any other
 * target throws a TypeError and sends nothing.
 */
export function loopbackInterceptor(source: TokenProvider): Interceptor {
  return (options, nextCall) => {
    const call = nextCall(options);
    // Before a call has begun, its peer is the target of the channel.
    const target = call.getPeer();
    if (!isLocal(target)) {
      throw new TypeError(`a token would travel in clear to ${target}: use TLS, and channelCredentials`);
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
