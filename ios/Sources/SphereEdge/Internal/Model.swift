// Model: what the three managers have in common, which is opening, calls on a thread of their own, cancelling and closing.
import CSphereEdge
import Foundation

/// An open model and the thread on which it computes.
final class Model<Info: Decodable & Sendable>: Sendable {
  let info: Info
  let executor: EngineExecutor
  let handle: Handle

  private init(_ info: Info, _ executor: EngineExecutor, _ handle: Handle) {
    self.info = info
    self.executor = executor
    self.handle = handle
  }

  /// `open` fills the pointer; `foreground`: the rule that calls follow, for models on a GPU.
  static func opened(
    _ kind: Kind, foreground: @escaping @Sendable (Info) -> Foreground? = { _ in nil },
    _ open: @escaping @Sendable (Memory, inout OpaquePointer?) throws -> se_status
  ) async throws -> Model {
    let executor = EngineExecutor()
    let (info, handle) = try await executor.run {
      let memory = Memory()
      defer { memory.free() }
      var opened: OpaquePointer?
      try check(try open(memory, &opened))
      guard let opened else { throw SphereEdgeError(.internal, "the runtime opened nothing") }
      do {
        let info = try decoded(Info.self, taken { kind.info(opened, $0) })
        return (info, Handle(kind, opened, foreground: foreground(info)))
      } catch {
        kind.close(opened)
        throw error
      }
    }
    return Model(info, executor, handle)
  }

  /// A stream of what `body` gives to its emitter: it begins at once, and the engine stops when the reader does.
  func stream<Event: Sendable>(
    _ body: @escaping @Sendable (OpaquePointer, Memory, Emitter<Event>) throws -> Void
  ) -> AsyncThrowingStream<Event, any Error> {
    let call = Call()
    return AsyncThrowingStream { events in
      events.onTermination = { [handle] reason in
        if case .cancelled = reason { handle.stop(call) }
      }
      executor.add { [self] in
        let emitter = Emitter(call, events)
        do {
          try handle.run(call) { model in
            let memory = Memory()
            defer { memory.free() }
            // C code carries a pointer to it.
            try withExtendedLifetime(emitter) { try body(model, memory, emitter) }
          }
          events.finish()
        } catch {
          events.finish(throwing: error)
        }
      }
    }
  }

  /// Ends the running call, waits for it, and frees the model; a second time it does nothing.
  func close() async {
    handle.beginClosing()
    await withCheckedContinuation { continuation in
      executor.add { [handle] in
        handle.close()
        continuation.resume()
      }
    }
  }
}
