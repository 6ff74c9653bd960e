package com.google.android.gms.tasks;

public interface OnSuccessListener<ResultT> {
  void onSuccess(ResultT result);
}
