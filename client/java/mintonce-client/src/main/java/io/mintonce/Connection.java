package io.mintonce;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The channel of a client, replaced when the files that its credentials are made of change.
 * Thread-safe.
 *
 * <p>A replaced channel takes no more calls and ends with the last one that is under way.
 */
final class Connection {
  private static final long CLOSE_MILLIS = 1000;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Way way;
  private final Link link;
  private final @Nullable WatchedFiles<ChannelCredentials> credentials;
  private final @Nullable WatchedFiles<String> bearer;
  private final List<ManagedChannel> replaced = new ArrayList<>();

  /**
   * Calls start under the read lock, so that none starts on a channel that has just been replaced.
   */
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();

  private @Nullable ChannelCredentials used;
  private ManagedChannel channel;
  private volatile boolean closed;

  /** Reads the files. Throws RefusedException when they cannot be used. */
  Connection(Way way) {
    this.way = way;
    this.link = Link.of(way);
    this.bearer = way.bearerFile() == null ? null : Bearers.watch(way.bearerFile(), Clock::now);
    this.credentials = way.tls() == null ? null : TlsFiles.watch(way.tls(), Clock::now);
    this.used = credentials == null ? null : credentials.current();
    this.channel = Channels.open(way, used);
  }

  /** Makes a call and starts it. Throws ClosedException. */
  <Q, R> ClientCall<Q, R> start(
      MethodDescriptor<Q, R> method, CallOptions options, Consumer<ClientCall<Q, R>> starter) {
    follow();
    lock.readLock().lock();
    try {
      mustBeOpen();
      ClientCall<Q, R> call = authorized(channel).newCall(method, options);
      starter.accept(call);
      return call;
    } finally {
      lock.readLock().unlock();
    }
  }

  MintonceException translate(StatusRuntimeException error) {
    return closed ? Errors.closed("client") : Translator.translate(error, link);
  }

  void mustBeOpen() {
    if (closed) {
      throw Errors.closed("client");
    }
  }

  /** Cancels what is under way. */
  void close() {
    List<ManagedChannel> all;
    lock.writeLock().lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      all = new ArrayList<>(replaced);
      all.add(channel);
    } finally {
      lock.writeLock().unlock();
    }
    all.forEach(ManagedChannel::shutdownNow);
    try {
      for (ManagedChannel each : all) {
        if (!each.awaitTermination(CLOSE_MILLIS, TimeUnit.MILLISECONDS)) {
          return; // its calls are cancelled: the rest is for gRPC to do
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Channel authorized(Channel channel) {
    if (bearer == null) {
      return channel;
    }
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, bearer.current());
    return ClientInterceptors.intercept(
        channel, MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  /** Opens another channel when the files have changed. */
  private void follow() {
    if (credentials == null) {
      return;
    }
    ChannelCredentials current = credentials.current();
    lock.readLock().lock();
    try {
      if (current == used) {
        return;
      }
    } finally {
      lock.readLock().unlock();
    }
    lock.writeLock().lock();
    try {
      if (closed || current == used) {
        return;
      }
      ManagedChannel next = Channels.open(way, current);
      channel.shutdown();
      replaced.removeIf(ManagedChannel::isTerminated);
      replaced.add(channel);
      channel = next;
      used = current;
    } finally {
      lock.writeLock().unlock();
    }
  }
}
