package io.mintonce;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * The threads that all sources of this process share: two, however many sources there are. They are
 * daemons, and end after a while without sources. Nothing that runs here waits; code of callers
 * never runs here.
 */
final class Background {
  private static final int THREADS = 2;
  private static final long KEEP_ALIVE_SECONDS = 10;
  private static final ScheduledThreadPoolExecutor EXECUTOR = executor();

  private Background() {}

  static void run(Runnable task) {
    EXECUTOR.execute(task);
  }

  static Future<?> after(double seconds, Runnable task) {
    return EXECUTOR.schedule(task, Clock.nanos(seconds), TimeUnit.NANOSECONDS);
  }

  private static ScheduledThreadPoolExecutor executor() {
    ScheduledThreadPoolExecutor executor =
        new ScheduledThreadPoolExecutor(
            THREADS,
            task -> {
              Thread thread = new Thread(task, "mintonce");
              thread.setDaemon(true);
              // The first caller's class loader must not be held for as long as the thread lives.
              thread.setContextClassLoader(Background.class.getClassLoader());
              return thread;
            });
    executor.setKeepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS);
    executor.allowCoreThreadTimeOut(true);
    executor.setRemoveOnCancelPolicy(true);
    return executor;
  }
}
