package android.graphics;

public final class Bitmap {
  public enum Config { ALPHA_8, RGB_565, ARGB_4444, ARGB_8888, RGBA_F16, HARDWARE }

  public static Bitmap createBitmap(int[] colors, int width, int height, Config config) { throw new UnsupportedOperationException("a stub"); }
  public int getWidth() { throw new UnsupportedOperationException("a stub"); }
  public int getHeight() { throw new UnsupportedOperationException("a stub"); }
  public Config getConfig() { throw new UnsupportedOperationException("a stub"); }
  public Bitmap copy(Config config, boolean isMutable) { throw new UnsupportedOperationException("a stub"); }
  public void getPixels(int[] pixels, int offset, int stride, int x, int y, int width, int height) { throw new UnsupportedOperationException("a stub"); }
}
