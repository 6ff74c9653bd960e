package android.content.res;

public final class AssetManager {
  public static final int ACCESS_STREAMING = 2;

  public java.io.InputStream open(String fileName) throws java.io.IOException { throw new UnsupportedOperationException("a stub"); }
  public java.io.InputStream open(String fileName, int accessMode) throws java.io.IOException { throw new UnsupportedOperationException("a stub"); }
}
