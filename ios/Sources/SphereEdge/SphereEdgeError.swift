// The one error of this package, with the status codes of C, Python and Kotlin.
import CSphereEdge
import Foundation

/// Why something failed. Later versions may add codes.
public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: Int32

  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  public static let ok = Status(rawValue: 0)
  public static let oomVRAM = Status(rawValue: 1)
  public static let oomRAM = Status(rawValue: 2)
  /// A file is damaged, cut off or contradicts itself.
  public static let modelCorrupt = Status(rawValue: 3)
  public static let timeout = Status(rawValue: 4)
  public static let cancelled = Status(rawValue: 5)
  /// Understood, but sphere-edge does not do it.
  public static let unsupported = Status(rawValue: 6)
  /// A bug of sphere-edge.
  public static let `internal` = Status(rawValue: 7)
  /// Made for another runtime, CPU, schema or manager.
  public static let formatMismatch = Status(rawValue: 8)
  public static let loadFailed = Status(rawValue: 9)
  public static let invalidArgument = Status(rawValue: 10)
  public static let notFound = Status(rawValue: 11)
  public static let storage = Status(rawValue: 12)
  /// A network does not answer, or the app is in the background.
  public static let unavailable = Status(rawValue: 13)
  /// No trusted key has signed the bundle.
  public static let untrusted = Status(rawValue: 14)

  /// As in C and in the logs: `MODEL_CORRUPT`.
  public var description: String {
    String(cString: se_status_name(rawValue))
  }
}

/// What happened, what can be done about it, and the status code.
public struct SphereEdgeError: LocalizedError, Hashable, Sendable {
  public let code: Status
  public let message: String
  public let hint: String?

  public var errorDescription: String? { message }
  public var recoverySuggestion: String? { hint }

  package init(_ code: Status, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }
}

/// Throws why the last call of this thread failed, unless it was `SE_OK`.
func check(_ status: se_status) throws(SphereEdgeError) {
  guard status == SE_OK.int32 else { throw failure(status) }
}

/// The reason of the last failure on this thread.
func failure(_ status: se_status) -> SphereEdgeError {
  let hint = String(cString: se_last_hint())
  return SphereEdgeError(
    Status(rawValue: status), String(cString: se_last_error()), hint: hint.isEmpty ? nil : hint)
}
