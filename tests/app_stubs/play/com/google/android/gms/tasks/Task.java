package com.google.android.gms.tasks;

public abstract class Task<ResultT> {
  public abstract Task<ResultT> addOnSuccessListener(OnSuccessListener<? super ResultT> listener);
  public abstract Task<ResultT> addOnFailureListener(OnFailureListener listener);
}
