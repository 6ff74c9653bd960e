// A thread for one manager: its engine computes there, and never on Swift's cooperative pool.
import Foundation

/// Runs the jobs of an actor one after the other on a thread of its own, which ends with the executor.
final class EngineExecutor: SerialExecutor {
  // Dispatch's threads have 512 KiB on Apple's systems, which is little for compilers of schemas and grammars.
  private static let stackBytes = 8 * 1024 * 1024
  private let jobs = JobQueue()

  init() {
    let thread = Thread { [jobs] in
      while let job = jobs.next() { job() }
    }
    thread.name = "sphere-edge"
    thread.stackSize = Self.stackBytes
    thread.qualityOfService = .userInitiated
    thread.start()
  }

  deinit {
    jobs.end()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // The job may release the last reference to its actor, and with it this executor.
    jobs.add { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// Runs `job` after those that came before.
  func add(_ job: @escaping @Sendable () -> Void) {
    jobs.add(job)
  }

  /// The value of `body`, computed on the thread.
  func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      jobs.add { continuation.resume(with: Result(catching: body)) }
    }
  }
}

/// Jobs that wait for the thread.
private final class JobQueue: @unchecked Sendable {
  private let condition = NSCondition()
  private var waiting: [() -> Void] = []
  private var isOver = false

  func add(_ job: @escaping @Sendable () -> Void) {
    condition.withLock {
      waiting.append(job)
      condition.signal()
    }
  }

  func end() {
    condition.withLock {
      isOver = true
      condition.signal()
    }
  }

  /// Waits for the next job; nil after the last one.
  func next() -> (() -> Void)? {
    condition.withLock {
      while waiting.isEmpty && !isOver { condition.wait() }
      return waiting.isEmpty ? nil : waiting.removeFirst()
    }
  }
}
