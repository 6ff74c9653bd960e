package android.app;

/** Here and in its neighbours: of Android what rendered apps use, with Android's own signatures. */
public class Application extends android.content.Context {}
