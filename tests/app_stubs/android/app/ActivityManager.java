package android.app;

/** Of android.app.ActivityManager what the library uses, with Android's own signatures. */
public class ActivityManager {
  public static class MemoryInfo {
    public long availMem;
    public long threshold;
  }

  public void getMemoryInfo(MemoryInfo outInfo) {
    throw new UnsupportedOperationException("a stub");
  }
}
