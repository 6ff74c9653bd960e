package androidx.compose.runtime.snapshots

abstract class SnapshotStateList<T> : MutableList<T>
