// Where the files of a bundle come from, and when they may.
import Foundation

/// Where the files of a bundle come from: a folder, a web server, or the app's own.
public protocol BundleSource: Sendable {
  /// At most `count` bytes of the bundle's file `path` from byte `offset` on; fewer only at its end.
  func read(_ path: String, from offset: Int, count: Int) async throws -> Data
}

/// A bundle in a folder, such as one of the app or of an asset pack.
public struct FolderSource: BundleSource {
  private let folder: URL

  public init(_ folder: URL) {
    self.folder = folder
  }

  public func read(_ path: String, from offset: Int, count: Int) async throws -> Data {
    let file = try FileHandle(forReadingFrom: folder.appendingPathComponent(path))
    defer { try? file.close() }
    try file.seek(toOffset: UInt64(offset))
    return try file.read(upToCount: count) ?? Data()
  }
}

extension BundleSource {
  /// The same files, as long as `isMet`, which is asked before each part: an installation that is not allowed any more
  /// ends with `unavailable`, which names the condition, and goes on later.
  public func onlyWhile(_ condition: String, _ isMet: @escaping @Sendable () -> Bool) -> some BundleSource {
    ConditionalSource(source: self, condition: condition, isMet: isMet)
  }
}

private struct ConditionalSource<Source: BundleSource>: BundleSource {
  let source: Source
  let condition: String
  let isMet: @Sendable () -> Bool

  func read(_ path: String, from offset: Int, count: Int) async throws -> Data {
    guard isMet() else { throw SphereEdgeError(.unavailable, "only \(condition)", hint: "try again: it goes on from there") }
    return try await source.read(path, from: offset, count: count)
  }
}
