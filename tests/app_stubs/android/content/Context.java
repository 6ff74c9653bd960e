package android.content;

public abstract class Context {
  public final <T> T getSystemService(Class<T> serviceClass) { throw new UnsupportedOperationException("a stub"); }
  public android.content.res.AssetManager getAssets() { throw new UnsupportedOperationException("a stub"); }
  public java.io.File getFilesDir() { throw new UnsupportedOperationException("a stub"); }
  public java.io.File getCacheDir() { throw new UnsupportedOperationException("a stub"); }
  public android.content.pm.ApplicationInfo getApplicationInfo() { throw new UnsupportedOperationException("a stub"); }
  public ContentResolver getContentResolver() { throw new UnsupportedOperationException("a stub"); }
  public void registerComponentCallbacks(ComponentCallbacks callback) {}
  public void unregisterComponentCallbacks(ComponentCallbacks callback) {}
}
