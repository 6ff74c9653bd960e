package android.app;

public abstract class Service extends android.content.Context {
  public static final int START_REDELIVER_INTENT = 3;

  public int onStartCommand(android.content.Intent intent, int flags, int startId) { throw new UnsupportedOperationException("a stub"); }
  public abstract android.os.IBinder onBind(android.content.Intent intent);
  public void onTimeout(int startId, int fgsType) {}
  public void onDestroy() {}
  public final void startForeground(int id, Notification notification, int foregroundServiceType) { throw new UnsupportedOperationException("a stub"); }
  public final void stopSelf() { throw new UnsupportedOperationException("a stub"); }
  public final void stopSelf(int startId) { throw new UnsupportedOperationException("a stub"); }
}
