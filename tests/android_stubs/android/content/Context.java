package android.content;

public abstract class Context {
  public final <T> T getSystemService(Class<T> serviceClass) {
    throw new UnsupportedOperationException("a stub");
  }
}
