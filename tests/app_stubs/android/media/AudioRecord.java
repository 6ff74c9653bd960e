package android.media;

public class AudioRecord {
  public static final int STATE_INITIALIZED = 1;
  public static final int READ_BLOCKING = 0;

  public AudioRecord(int audioSource, int sampleRateInHz, int channelConfig, int audioFormat, int bufferSizeInBytes)
      throws IllegalArgumentException {}

  public int getState() { throw new UnsupportedOperationException("a stub"); }
  public void startRecording() throws IllegalStateException {}
  public int read(float[] audioData, int offsetInFloats, int sizeInFloats, int readMode) {
    throw new UnsupportedOperationException("a stub");
  }
  public void release() {}
}
