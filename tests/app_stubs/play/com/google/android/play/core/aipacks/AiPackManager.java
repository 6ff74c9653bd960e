package com.google.android.play.core.aipacks;

/** Here and in its neighbours: of Play's com.google.android.play:ai-delivery what docs/android.md uses. */
public interface AiPackManager {
  AiPackLocation getPackLocation(String packName);
  com.google.android.gms.tasks.Task<AiPackStates> fetch(java.util.List<String> packNames);
  void registerListener(AiPackStateUpdateListener listener);
  void unregisterListener(AiPackStateUpdateListener listener);
}
