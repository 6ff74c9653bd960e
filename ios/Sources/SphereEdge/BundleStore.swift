// Bundles in a folder of the app: fetched part by part, gone on with where it stopped, and there only when whole.
import Foundation

/// How far an installation is.
public struct BundleProgress: Sendable, Hashable {
  public let doneBytes: Int
  public let totalBytes: Int
}

/// Bundles in a folder, each in a folder of its name; for one process.
///
/// Compiled code never comes from a store: files of the role `library` are left out, because iOS runs none that came
/// later. It lies in the app, and is opened with `TextOpenOptions.codeFolder`.
public actor BundleStore {
  // What is fetched again at most when an installation goes on.
  private static let partBytes = 4 << 20
  private static let signatures = "bundle.sig.json"
  private static let mostSignatureBytes = 1 << 20
  private static let installing = Guarded<Set<String>>([])
  // Of all stores: between two renames a bundle seems to be gone.
  private static let renaming = NSLock()
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private let executor = EngineExecutor()
  private let folder: URL
  private let partBytes: Int
  private let files = FileManager.default

  public init(_ folder: URL) {
    self.init(folder, partBytes: Self.partBytes)
  }

  init(_ folder: URL, partBytes: Int) {
    self.folder = folder
    self.partBytes = partBytes
  }

  /// The bundle of this name, or nil while it is not there whole.
  public func bundle(_ name: String) throws -> URL? {
    let target = try target(name)
    // The app ended between the two renames of a replacement.
    Self.renaming.withLock {
      if !exists(target), exists(former(name)) { try? files.moveItem(at: former(name), to: target) }
    }
    return exists(target.appendingPathComponent(BundleManifest.name)) ? target : nil
  }

  /// Removes a bundle, and what is there of it. A model that is open goes on with the files that it has.
  public func remove(_ name: String) throws {
    let target = try target(name)
    try claim(name)
    defer { release(name) }
    // The bundle last: the one before it must not come back.
    for gone in [former(name), partial(name), target] { try removeAll(gone) }
  }

  /// Installs the bundle `name` from `source`, and says where it is. A former attempt is gone on with; the manifest has to
  /// give its id, every file its hash in the manifest, and the bundle appears when it is whole.
  ///
  /// A bundle of this name that is there stays if it has the same id, and is replaced in one step otherwise. With `id`,
  /// which it must have, `source` is not even asked where this bundle is there already. Ending the task ends it. `signed`:
  /// its signatures come along, for `TextOpenOptions.trustedKeys`; those of a bundle that stays are asked for each time,
  /// and replaced where others were made since.
  ///
  /// Throws `modelCorrupt` for a file that is not the manifest's, `storage`, and `unavailable` where `source` cannot be
  /// read or `name` is being installed.
  @discardableResult
  public func install(
    _ name: String, from source: some BundleSource, id: String? = nil, signed: Bool = false,
    progress: @Sendable (BundleProgress) -> Void = { _ in }
  ) async throws -> URL {
    let target = try target(name)
    try claim(name)
    defer { release(name) }
    let present = try bundle(name).flatMap { BundleManifest(in: $0)?.id }
    let manifest = try await id != nil && present == id ? nil : readManifest(of: source, id: id)
    let signatures = try await signed ? readSignatures(of: source) : nil
    if let manifest, manifest.id != present {
      try await fetch(name, source, manifest, progress)
      let written = partial(name).appendingPathComponent(Self.signatures)
      try removeAll(written)
      if let signatures { try append(signatures, to: written) }
      try put(name, at: target)
    } else if let signatures {
      try renew(target.appendingPathComponent(Self.signatures), signatures)
    }
    return target
  }

  private func readManifest(of source: some BundleSource, id: String?) async throws -> BundleManifest {
    let data = try await part(source, BundleManifest.name, 0, BundleManifest.mostBytes + 1)
    let manifest = try BundleManifest(data)
    if let id, manifest.id != id { throw corrupt("the bundle is `\(manifest.id)`, not `\(id)`") }
    return manifest
  }

  private func readSignatures(of source: some BundleSource) async throws -> Data {
    let data = try await part(source, Self.signatures, 0, Self.mostSignatureBytes + 1)
    guard data.count <= Self.mostSignatureBytes else { throw corrupt("`\(Self.signatures)` is more than 1 MiB long") }
    return data
  }

  /// In one step: whoever opens the bundle meanwhile reads the old signatures or the new ones.
  private func renew(_ file: URL, _ signatures: Data) throws {
    try stored(file) {
      if exists(file), try Data(contentsOf: file) == signatures { return }
      try signatures.write(to: file, options: .atomic)
    }
  }

  private func fetch(
    _ name: String, _ source: some BundleSource, _ manifest: BundleManifest,
    _ progress: @Sendable (BundleProgress) -> Void
  ) async throws {
    let work = partial(name)
    let mark = work.appendingPathComponent(".id")
    // Of another bundle: what is there of it is of no use.
    if (try? String(contentsOf: mark, encoding: .utf8)) != manifest.id { try removeAll(work) }
    try stored(work) {
      try files.createDirectory(at: work, withIntermediateDirectories: true)
      try Data(manifest.id.utf8).write(to: mark)
    }
    let total = manifest.files.reduce(0) { $0 + $1.bytes }
    let there = manifest.files.reduce(0) { $0 + min($1.bytes, size(work.appendingPathComponent($1.path))) }
    let free = try? files.attributesOfFileSystem(forPath: work.path)[.systemFreeSize] as? NSNumber
    if let free, free.int64Value < Int64(total - there) { throw storage("`\(total - there)` bytes do not fit on the disk") }
    var done = 0
    for file in manifest.files {
      try await fetch(file, source, into: work.appendingPathComponent(file.path)) { written in
        progress(BundleProgress(doneBytes: done + written, totalBytes: total))
      }
      done += file.bytes
    }
    let written = work.appendingPathComponent(BundleManifest.name)
    try removeAll(written)
    try append(manifest.data, to: written)
  }

  private func fetch(
    _ file: BundleManifest.Entry, _ source: some BundleSource, into: URL, _ wrote: (Int) -> Void
  ) async throws {
    try stored(into) {
      try files.createDirectory(at: into.deletingLastPathComponent(), withIntermediateDirectories: true)
    }
    if size(into) > file.bytes { try removeAll(into) }
    var written = size(into)
    if written == 0 { try append(Data(), to: into) }
    while written < file.bytes {
      try Task.checkCancellation()
      let data = try await part(source, file.path, written, min(partBytes, file.bytes - written))
      guard !data.isEmpty else {
        throw SphereEdgeError(.unavailable, "`\(file.path)` ended after `\(written)` of `\(file.bytes)` bytes")
      }
      try append(data, to: into)
      written += data.count
      wrote(written)
    }
    if try sha256(into) != file.sha256 {
      try removeAll(into)
      throw corrupt("`\(file.path)` is not the file that the manifest names")
    }
    wrote(written)
  }

  private func put(_ name: String, at target: URL) throws {
    try removeAll(former(name))
    try Self.renaming.withLock {
      try stored(target) {
        if exists(target) { try files.moveItem(at: target, to: former(name)) }
        do {
          try files.moveItem(at: partial(name), to: target)
        } catch {
          try? files.moveItem(at: former(name), to: target)
          throw error
        }
      }
    }
    try? files.removeItem(at: target.appendingPathComponent(".id"))
    try removeAll(former(name))
  }

  private func part(_ source: some BundleSource, _ path: String, _ offset: Int, _ count: Int) async throws -> Data {
    do {
      let data = try await source.read(path, from: offset, count: count)
      guard data.count <= count else { throw corrupt("`\(path)` came with more bytes than were asked for") }
      return data
    } catch {
      try Task.checkCancellation()
      if error is SphereEdgeError { throw error }
      throw SphereEdgeError(
        .unavailable, "`\(path)` cannot be read: \(error.localizedDescription)", hint: "try again: it goes on from there")
    }
  }

  private func append(_ data: Data, to file: URL) throws {
    try stored(file) {
      if !exists(file) { try Data().write(to: file) }
      let handle = try FileHandle(forWritingTo: file)
      defer { try? handle.close() }
      try handle.seekToEnd()
      try handle.write(contentsOf: data)
      try handle.synchronize()
    }
  }

  private func sha256(_ file: URL) throws -> String {
    try stored(file) {
      var hash = SHA256Hash()
      let handle = try FileHandle(forReadingFrom: file)
      defer { try? handle.close() }
      while let block = try handle.read(upToCount: Self.partBytes), !block.isEmpty { hash.update(data: block) }
      return hash.digits
    }
  }

  private func stored<Value>(_ file: URL, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch {
      throw storage("`\(file.path)` cannot be read or written: \(error.localizedDescription)")
    }
  }

  private func removeAll(_ gone: URL) throws {
    if exists(gone) { try stored(gone) { try files.removeItem(at: gone) } }
  }

  private func exists(_ file: URL) -> Bool { files.fileExists(atPath: file.path) }

  private func size(_ file: URL) -> Int {
    (try? files.attributesOfItem(atPath: file.path)[.size] as? NSNumber)?.intValue ?? 0
  }

  private func claim(_ name: String) throws {
    let isFree = Self.installing.with { $0.insert(partial(name).standardizedFileURL.path).inserted }
    if !isFree { throw SphereEdgeError(.unavailable, "`\(name)` is being installed", hint: "wait for it") }
  }

  private func release(_ name: String) {
    Self.installing.with { _ = $0.remove(partial(name).standardizedFileURL.path) }
  }

  private func target(_ name: String) throws -> URL {
    guard BundleManifest.isName(name[...]) else { throw SphereEdgeError(.invalidArgument, "`\(name)` is not a bundle's name") }
    return folder.appendingPathComponent(name)
  }

  private func partial(_ name: String) -> URL { folder.appendingPathComponent(".\(name).part") }
  private func former(_ name: String) -> URL { folder.appendingPathComponent(".\(name).former") }
  private func corrupt(_ message: String) -> SphereEdgeError { SphereEdgeError(.modelCorrupt, message) }
  private func storage(_ message: String) -> SphereEdgeError { SphereEdgeError(.storage, message) }
}
