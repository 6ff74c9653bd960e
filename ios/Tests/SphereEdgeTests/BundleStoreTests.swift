// Bundles that are installed: from a folder and from a web server at 127.0.0.1, cut off, damaged and replaced.
import Foundation
import Testing

@testable import SphereEdge

@Suite(.serialized) struct BundleStoreTests {
  static let golden = Given.path("SPHERE_EDGE_GOLDEN")
  static let weights = "weights/model-00001.safetensors"
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  private var store: BundleStore { BundleStore(folder, partBytes: 100) }

  @Test func hashesAreThoseOfTheStandard() {
    let million = Data(repeating: UInt8(ascii: "a"), count: 1_000_000)
    for (data, expected) in [
      (Data(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      (Data("abc".utf8), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        Data("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ] {
      var hash = SHA256Hash()
      hash.update(data: data.prefix(data.count / 3))
      hash.update(data: data.suffix(from: data.count / 3))
      #expect(hash.digits == expected)
    }
  }

  @Test func bundleIsInstalledWithoutItsCodeAndOpensWithThatOfTheApp() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let seen = Guarded<[BundleProgress]>([])
    let bundle = try await BundleStore(folder).install("tiny", from: FolderSource(Given.text)) { at in
      seen.with { $0.append(at) }
    }
    let last = try #require(seen.with { $0.last })
    #expect(last.doneBytes == last.totalBytes && last.totalBytes > 1_000_000)
    #expect(!FileManager.default.fileExists(atPath: bundle.appendingPathComponent("lib").path))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["tiny"])
    let code = TextOpenOptions(codeFolder: Given.text.appendingPathComponent("lib"))
    let text = try await TextManager.open(bundle, code)
    #expect(try await text.chat(TextTests.sky, TextRequest(maxTokens: 30, temperature: 0)).text().contains("blue"))
    await text.close()
  }

  @Test func signedBundleOpensWithItsKeyAndNoOtherBundleDoes() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let signed = Given.model("signed")
    let trusted = try String(contentsOf: Given.model("trusted"), encoding: .utf8)
    let options = Self.trusting(trusted, codeOf: signed)
    let none = Self.trusting("", codeOf: signed)
    let store = BundleStore(folder)
    let unsigned = try await store.install("tiny", from: FolderSource(signed))
    let error = await #expect(throws: SphereEdgeError.self) {
      _ = try await TextManager.open(unsigned, options)
    }
    #expect(error?.code == .untrusted)
    #expect(error?.message.contains("is not signed; expected a signature by") == true)
    // The same bundle, now with its signatures.
    let bundle = try await store.install("tiny", from: FolderSource(signed), signed: true)
    try await TextManager.open(bundle, options).close()
    let refused = await #expect(throws: SphereEdgeError.self) { _ = try await TextManager.open(bundle, none) }
    #expect(refused?.code == .invalidArgument)
  }

  private static func trusting(_ keys: String, codeOf bundle: URL) -> TextOpenOptions {
    var options = TextOpenOptions(threads: 1, codeFolder: bundle.appendingPathComponent("lib"))
    options.trustedKeys = keys
    return options
  }

  @Test func signaturesThatWereMadeSinceReplaceThoseOfTheBundleThatIsThere() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = CutSource()
    let id = try BundleManifest(data()).id
    let there = folder.appendingPathComponent("golden/bundle.sig.json")
    for (signatures, id, asked) in [
      ("first", nil, nil), ("second", id, ["bundle.sig.json 0"]),
      ("third", nil, ["bundle.json 0", "bundle.sig.json 0"]),
    ] as [(String, String?, [String]?)] {
      source.signatures.with { $0 = signatures }
      source.read.with { $0 = [] }
      try await store.install("golden", from: source, id: id, signed: true)
      #expect(try String(contentsOf: there, encoding: .utf8) == signatures)
      if let asked { #expect(source.read.with { $0 } == asked) }
    }
    let file = try FileManager.default.attributesOfItem(atPath: there.path)[.systemFileNumber] as? NSNumber
    try await store.install("golden", from: source, id: id, signed: true)
    #expect(try FileManager.default.attributesOfItem(atPath: there.path)[.systemFileNumber] as? NSNumber == file)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("golden").path)
    #expect(names.filter { $0.contains("json") }.sorted() == ["bundle.json", "bundle.sig.json"])
    // One without any gets them.
    try FileManager.default.removeItem(at: there)
    try await store.install("golden", from: source, id: id, signed: true)
    #expect(try String(contentsOf: there, encoding: .utf8) == "third")
    // They cannot be had: the bundle stays as it is.
    let error = await #expect(throws: SphereEdgeError.self) {
      try await store.install("golden", from: CutSource(after: 0), id: id, signed: true)
    }
    #expect(error?.code == .unavailable)
    #expect(try String(contentsOf: there, encoding: .utf8) == "third")
  }

  @Test func whatWasCutOffGoesOnWhereItStopped() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = CutSource(after: 5)
    let error = await #expect(throws: SphereEdgeError.self) { try await store.install("golden", from: source) }
    #expect(error?.code == .unavailable)
    #expect(try await store.bundle("golden") == nil)
    source.cut.with { $0 = .max }
    try await store.install("golden", from: source)
    // Nothing but the manifest was read twice.
    let read = source.read.with { $0 }.filter { !$0.hasPrefix(BundleManifest.name) }
    #expect(Set(read).count == read.count && read.contains("\(Self.weights) 900"))
    let count = source.read.with(\.count)
    try await store.install("golden", from: source, id: try BundleManifest(data()).id)
    #expect(source.read.with(\.count) == count)
  }

  @Test func whatIsNotTheManifestsIsRefusedAndTheOldBundleStays() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let there = try await store.install("golden", from: FolderSource(Self.golden))
    let other = String(decoding: try data(), as: UTF8.self).replacingOccurrences(of: "\"golden\"", with: "\"silver\"")
    for (manifest, flips) in [(Data(other.utf8), false), (Data("{}".utf8), false), (try renamed(other), true)] {
      let source = CutSource(manifest: manifest, flips: flips)
      let error = await #expect(throws: SphereEdgeError.self) { try await store.install("golden", from: source) }
      #expect(error?.code == .modelCorrupt)
      #expect(BundleManifest(in: there)?.id == (try BundleManifest(data()).id))
    }
    let id = await #expect(throws: SphereEdgeError.self) {
      try await store.install("other", from: FolderSource(Self.golden), id: String(repeating: "0", count: 64))
    }
    #expect(id?.code == .modelCorrupt)
    try await store.install("golden", from: CutSource(manifest: try renamed(other)))
    #expect(BundleManifest(in: there)?.id == (try BundleManifest(renamed(other)).id))
    try await store.remove("golden")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy { $0.hasPrefix(".other") })
  }

  @Test func appThatEndedBetweenTwoStepsHasItsOldBundle() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let bundle = try await store.install("golden", from: FolderSource(Self.golden))
    try FileManager.default.moveItem(at: bundle, to: folder.appendingPathComponent(".golden.former"))
    #expect(try await store.bundle("golden") == bundle)
  }

  @Test func noPathLeavesTheFolder() async throws {
    for name in ["", ".", "..", "../a", "a/b", "a\\b", ".a", "-a", "ä", String(repeating: "a", count: 101)] {
      #expect(!BundleManifest.isName(name[...]))
      let error = await #expect(throws: SphereEdgeError.self) { try await store.bundle(name) }
      #expect(error?.code == .invalidArgument)
    }
    for path in ["/a", "a//b", "a/../b", "a/", "a/b/c/d/e/f/g/h/i"] { #expect(!BundleManifest.isInside(path)) }
    #expect(BundleManifest.isInside(Self.weights))
    let outside = String(decoding: try data(), as: UTF8.self).replacingOccurrences(of: "LICENSE", with: "../outside")
    let error = #expect(throws: SphereEdgeError.self) { try BundleManifest(renamed(outside)) }
    #expect(error?.message == "`../outside` is not a file of a bundle")
  }

  @Test func conditionThatIsNotMetEndsAnInstallationWhichGoesOnLater() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let left = Guarded(5)
    let source = FolderSource(Self.golden).onlyWhile("on Wi-Fi") {
      left.with {
        $0 -= 1
        return $0 >= 0
      }
    }
    let error = await #expect(throws: SphereEdgeError.self) { try await store.install("golden", from: source) }
    #expect(error?.code == .unavailable && error?.message == "only on Wi-Fi")
    left.with { $0 = 100 }
    try await store.install("golden", from: source)
  }

  @Test func bundleIsDownloadedAndGoesOnWhereItWasCutOff() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    try await store.install("golden", from: try Self.server("whole"))
    let cut = await #expect(throws: SphereEdgeError.self) { try await store.install("cut", from: try Self.server("cut")) }
    #expect(cut?.code == .unavailable)
    let bundle = try await store.install("cut", from: try Self.server("cut"))
    #expect(
      try Data(contentsOf: bundle.appendingPathComponent(Self.weights))
        == Data(contentsOf: Self.golden.appendingPathComponent(Self.weights)))
  }

  @Test func endOfTheTaskEndsADownload() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    for milliseconds in [0, 1, 5, 300] {
      let installing = Task { try await store.install("silent", from: try Self.server("silent")) }
      try await Task.sleep(nanoseconds: UInt64(milliseconds) * 1_000_000)
      installing.cancel()
      await #expect(throws: CancellationError.self) { try await installing.value }
    }
    #expect(try await store.bundle("silent") == nil)
  }

  @Test func answersOfAServerThatAreNotTheFileAreRefused() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    for (kind, message) in [
      ("nothing", "answers with `404`"), ("plain", "sends more than"), ("long", "sends more than"),
      ("shifted", "sends another part"), ("silent", "does not answer"),
    ] {
      let error = await #expect(throws: SphereEdgeError.self) { try await store.install(kind, from: try Self.server(kind)) }
      #expect(error?.code == .unavailable && error?.message.contains(message) == true, "\(kind): \(error?.message ?? "")")
    }
    for address in ["file:///a", "ftp://a/b", "a"] {
      let error = #expect(throws: SphereEdgeError.self) { try HTTPSource(URL(string: address)!) }
      #expect(error?.code == .invalidArgument)
    }
  }

  private static func server(_ kind: String) throws -> HTTPSource {
    let address = ProcessInfo.processInfo.environment["SPHERE_EDGE_SERVER"] ?? "http://127.0.0.1:1"
    return try HTTPSource(URL(string: "\(address)/\(kind)")!, timeoutSeconds: 2)
  }

  private func data() throws -> Data {
    try Data(contentsOf: Self.golden.appendingPathComponent(BundleManifest.name))
  }

  /// A manifest with this content and its own id.
  private func renamed(_ text: String) throws -> Data {
    let old = try BundleManifest(data()).id
    let kept = text.replacingOccurrences(of: "  \"id\": \"\(old)\",\n", with: "")
    let bare = kept.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined()
    var hash = SHA256Hash()
    hash.update(data: Data(bare.replacingOccurrences(of: "\": ", with: "\":").utf8))
    return Data(text.replacingOccurrences(of: old, with: hash.digits).utf8)
  }
}

/// The golden bundle, of which so many parts are read; with another manifest, or with a bit of its files turned.
private final class CutSource: BundleSource {
  let read = Guarded<[String]>([])
  let cut: Guarded<Int>
  let signatures = Guarded("")
  private let manifest: Data?
  private let flips: Bool

  init(after parts: Int = .max, manifest: Data? = nil, flips: Bool = false) {
    cut = Guarded(parts)
    self.manifest = manifest
    self.flips = flips
  }

  func read(_ path: String, from offset: Int, count: Int) async throws -> Data {
    if read.with(\.count) >= cut.with({ $0 }) { throw CocoaError(.fileReadUnknown) }
    read.with { $0.append("\(path) \(offset)") }
    if path == BundleManifest.name, let manifest { return manifest }
    if path == "bundle.sig.json" { return Data(signatures.with { $0 }.utf8) }
    var data = try await FolderSource(BundleStoreTests.golden).read(path, from: offset, count: count)
    if flips { data[data.startIndex] ^= 1 }
    return data
  }
}
