// Handle: an open model of the core, and the call that runs on it.
import CSphereEdge
import Foundation

/// What the three managers of the core have in common.
struct Kind: Sendable {
  let info: @Sendable (OpaquePointer, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> se_status
  let cancel: @Sendable (OpaquePointer) -> Void
  let close: @Sendable (OpaquePointer) -> Void

  static let text = Kind(
    info: { se_text_info($0, $1) }, cancel: { se_text_cancel($0) }, close: { se_text_close($0) })
  static let audio = Kind(
    info: { se_audio_info($0, $1) }, cancel: { se_audio_cancel($0) }, close: { se_audio_close($0) })
  static let image = Kind(
    info: { se_image_info($0, $1) }, cancel: { se_image_cancel($0) }, close: { se_image_close($0) })
}

/// A call that may be stopped before and while it runs.
final class Call: Sendable {
  private let stopped = Guarded(false)

  var isStopped: Bool { stopped.with { $0 } }

  func markStopped() {
    stopped.with { $0 = true }
  }
}

/// An open model. Calls come one at a time from its manager's executor; everything else from any thread.
final class Handle: @unchecked Sendable {
  // The core forgets a cancel that comes before its call has begun.
  private static let retry = DispatchTimeInterval.milliseconds(10)
  private let kind: Kind
  private let foreground: Foreground?
  private let lock = NSLock()
  private var pointer: OpaquePointer?
  private var isClosing = false
  private var running: Call?

  /// `foreground`: the rule that calls follow, for models on a GPU.
  init(_ kind: Kind, _ pointer: OpaquePointer, foreground: Foreground? = nil) {
    self.kind = kind
    self.pointer = pointer
    self.foreground = foreground
    foreground?.add(self)
  }

  deinit {
    if let pointer { kind.close(pointer) }
  }

  /// `body` on the model as `call`; on the executor's thread.
  func run<Value>(_ call: Call, _ body: (OpaquePointer) throws -> Value) throws -> Value {
    let model = try lock.withLock {
      guard let pointer, !isClosing else {
        throw SphereEdgeError(.invalidArgument, "the model has been closed")
      }
      running = call
      return pointer
    }
    defer { lock.withLock { running = nil } }
    // After `running` is set: whoever stops from now on finds this call.
    if call.isStopped { throw SphereEdgeError(.cancelled, "the call was cancelled before it began") }
    try foreground?.check()
    return try body(model)
  }

  /// As `run`; ending the task that waits stops the engine.
  func run<Value: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ body: (OpaquePointer) throws -> Value
  ) async throws -> Value {
    let call = Call()
    return try await withTaskCancellationHandler {
      try run(call, body)
    } onCancel: {
      stop(call)
    }
  }

  /// Ends `call` soon, if it has not ended; any thread.
  func stop(_ call: Call) {
    call.markStopped()
    repeatCancel(call)
  }

  /// Ends the running call soon; any thread.
  func cancel() {
    if let call = lock.withLock({ running }) { stop(call) }
  }

  var isBusy: Bool { lock.withLock { running != nil } }

  /// No call begins from now on, and the running one ends soon.
  func beginClosing() {
    lock.withLock { isClosing = true }
    cancel()
  }

  /// Frees the model; on the executor's thread, so that no call is running.
  func close() {
    let freed = lock.withLock {
      defer { pointer = nil }
      return pointer
    }
    if let freed { kind.close(freed) }
  }

  private func repeatCancel(_ call: Call) {
    let isRunning = lock.withLock {
      guard running === call, let pointer else { return false }
      kind.cancel(pointer)
      return true
    }
    guard isRunning else { return }
    DispatchQueue.global().asyncAfter(deadline: .now() + Self.retry) { [self] in
      repeatCancel(call)
    }
  }
}
