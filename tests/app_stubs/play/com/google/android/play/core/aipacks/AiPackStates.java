package com.google.android.play.core.aipacks;

public abstract class AiPackStates {
  public abstract java.util.Map<String, AiPackState> packStates();
}
