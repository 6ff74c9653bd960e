package android.media;

public final class MediaExtractor {
  public final void setDataSource(
      android.content.Context context, android.net.Uri uri, java.util.Map<String, String> headers)
      throws java.io.IOException { throw new UnsupportedOperationException("a stub"); }
  public final int getTrackCount() { throw new UnsupportedOperationException("a stub"); }
  public MediaFormat getTrackFormat(int index) { throw new UnsupportedOperationException("a stub"); }
  public void selectTrack(int index) { throw new UnsupportedOperationException("a stub"); }
  public int readSampleData(java.nio.ByteBuffer byteBuf, int offset) { throw new UnsupportedOperationException("a stub"); }
  public long getSampleTime() { throw new UnsupportedOperationException("a stub"); }
  public boolean advance() { throw new UnsupportedOperationException("a stub"); }
  public final void release() { throw new UnsupportedOperationException("a stub"); }
}
