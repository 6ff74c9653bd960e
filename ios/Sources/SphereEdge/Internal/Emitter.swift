// Emitter: what a callback of the core gives to a stream.
import Foundation

/// Hands values to a stream; C code carries `pointer` to it.
final class Emitter<Value: Sendable>: Sendable {
  private let call: Call
  private let events: AsyncThrowingStream<Value, any Error>.Continuation

  init(_ call: Call, _ events: AsyncThrowingStream<Value, any Error>.Continuation) {
    self.call = call
    self.events = events
  }

  /// Valid as long as this object.
  var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  static func of(_ pointer: UnsafeMutableRawPointer?) -> Emitter<Value> {
    Unmanaged<Emitter<Value>>.fromOpaque(pointer!).takeUnretainedValue()
  }

  /// Whether the engine goes on.
  func emit(_ value: Value) -> Bool {
    if call.isStopped { return false }
    if case .terminated = events.yield(value) { return false }
    return true
  }

  /// The figures at the end, which come also of a call that was stopped.
  func end(with value: Value) {
    events.yield(value)
  }
}
