package android.net;

public class ConnectivityManager {
  public boolean isActiveNetworkMetered() { throw new UnsupportedOperationException("a stub"); }
}
