package com.google.android.play.core.aipacks;

public abstract class AiPackState {
  public abstract String name();
  public abstract int status();
  public abstract int errorCode();
  public abstract long bytesDownloaded();
  public abstract long totalBytesToDownload();
}
