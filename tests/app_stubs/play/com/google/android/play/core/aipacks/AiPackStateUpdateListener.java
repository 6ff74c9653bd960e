package com.google.android.play.core.aipacks;

public interface AiPackStateUpdateListener
    extends com.google.android.play.core.listener.StateUpdatedListener<AiPackState> {}
