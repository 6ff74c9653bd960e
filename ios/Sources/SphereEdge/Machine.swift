// What this machine has, and whether a model fits into it.
import CSphereEdge
import Foundation

#if os(iOS)
  import os
#endif

/// Whether a bundle fits into the memory that the system gives this app now.
public struct Fit: Sendable, Hashable {
  /// The most that the bundle takes while it is used, as was computed when it was made; nil: not known for such a file.
  public let neededBytes: Int?
  public let availableBytes: Int
  /// True also where it is not known what is needed.
  public var fits: Bool { (neededBytes ?? 0) <= availableBytes }
}

/// Compares what a bundle needs with the memory that is free, before it is opened. Throws `notFound`, `modelCorrupt`.
public func fits(_ bundle: URL) throws -> Fit {
  struct Model: Decodable {
    let predictedPeakBytes: Int?
  }
  struct System: Decodable {
    let memoryAvailableBytes: Int
  }
  let memory = Memory()
  defer { memory.free() }
  let path = try memory.string("the path", bundle.path)
  let json = try taken { se_model_info(path, $0) }
  let model = try decoded(Model.self, json)
  #if os(iOS)
    // What is left of this app's own limit.
    let available = os_proc_available_memory()
  #else
    let available = try decoded(System.self, taken { se_system_info($0) }).memoryAvailableBytes
  #endif
  return Fit(neededBytes: model.predictedPeakBytes, availableBytes: available)
}

/// Where the core's messages go: `nil`, the default, is nowhere. `log` is called from any thread.
public func setLog(_ log: (@Sendable (_ level: LogLevel, _ message: String) -> Void)?) {
  LogSink.current.with { $0 = log }
  guard log != nil else { return se_log_set(nil, nil) }
  se_log_set(
    { level, message, _ in
      guard let message, let log = LogSink.current.with({ $0 }) else { return }
      log(LogLevel(rawValue: level) ?? .error, String(cString: message))
    }, nil)
}

public enum LogLevel: Int32, Sendable {
  case debug, info, warning, error
}

private enum LogSink {
  static let current = Guarded<(@Sendable (LogLevel, String) -> Void)?>(nil)
}
