package android.media;

public final class MediaCodec {
  public static final int BUFFER_FLAG_END_OF_STREAM = 4;
  public static final int INFO_OUTPUT_FORMAT_CHANGED = -2;

  public static final class BufferInfo {
    public int offset;
    public int size;
    public long presentationTimeUs;
    public int flags;
  }

  public static MediaCodec createDecoderByType(String type) throws java.io.IOException { throw new UnsupportedOperationException("a stub"); }
  public void configure(MediaFormat format, android.view.Surface surface, MediaCrypto crypto, int flags) { throw new UnsupportedOperationException("a stub"); }
  public void start() { throw new UnsupportedOperationException("a stub"); }
  public int dequeueInputBuffer(long timeoutUs) { throw new UnsupportedOperationException("a stub"); }
  public java.nio.ByteBuffer getInputBuffer(int index) { throw new UnsupportedOperationException("a stub"); }
  public void queueInputBuffer(int index, int offset, int size, long presentationTimeUs, int flags) { throw new UnsupportedOperationException("a stub"); }
  public int dequeueOutputBuffer(BufferInfo info, long timeoutUs) { throw new UnsupportedOperationException("a stub"); }
  public MediaFormat getOutputFormat() { throw new UnsupportedOperationException("a stub"); }
  public java.nio.ByteBuffer getOutputBuffer(int index) { throw new UnsupportedOperationException("a stub"); }
  public void releaseOutputBuffer(int index, boolean render) { throw new UnsupportedOperationException("a stub"); }
  public final void release() { throw new UnsupportedOperationException("a stub"); }
}
