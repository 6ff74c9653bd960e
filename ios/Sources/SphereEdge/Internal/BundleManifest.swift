// The parts of a bundle's bundle.json that this package reads; the core reads all of it.
import Foundation

/// A manifest whose content gives its id.
struct BundleManifest: Sendable {
  static let name = "bundle.json"
  static let mostBytes = 16 << 20
  let data: Data
  /// Changes with every byte of the bundle.
  let id: String
  /// All files but the manifest and compiled code.
  let files: [Entry]

  struct Entry: Decodable, Sendable {
    let path: String
    let role: String
    let bytes: Int
    let sha256: String
  }

  private struct Document: Decodable {
    let id: String
    let files: [Entry]
  }

  /// Throws `modelCorrupt` for what is not a manifest, does not give its id, or names files elsewhere.
  init(_ data: Data) throws {
    guard data.count <= Self.mostBytes else {
      throw SphereEdgeError(.modelCorrupt, "the manifest has more than `\(Self.mostBytes)` bytes")
    }
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: data)
    } catch {
      throw SphereEdgeError(.modelCorrupt, "the manifest is not read: \(error)")
    }
    self.data = data
    id = document.id
    files = document.files.filter { $0.role != "library" }
    guard Self.hash(of: data, without: id) == id else {
      throw SphereEdgeError(.modelCorrupt, "the manifest is damaged: its content does not give its id")
    }
    for file in files where !Self.isInside(file.path) || !(0...(1 << 44)).contains(file.bytes) || file.path == Self.name {
      throw SphereEdgeError(.modelCorrupt, "`\(file.path)` is not a file of a bundle")
    }
    guard Set(files.map(\.path)).count == files.count else {
      throw SphereEdgeError(.modelCorrupt, "the manifest names a file twice")
    }
  }

  /// That of the bundle in `folder`; nil where there is none, or a damaged one.
  init?(in folder: URL) {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent(Self.name)) else { return nil }
    try? self.init(data)
  }

  /// The hash of the document without its id and white space. Its keys have to be sorted, and its numbers and characters
  /// written, as sphere-edge does it: a document in another form has another hash.
  private static func hash(of data: Data, without id: String) -> String {
    var (kept, isInString, isEscaped) = (Data(capacity: data.count), false, false)
    for byte in data {
      if isInString || ![0x20, 0x0a, 0x0d, 0x09].contains(byte) { kept.append(byte) }
      if byte == UInt8(ascii: "\""), !isEscaped { isInString.toggle() }
      isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
    }
    if let member = kept.range(of: Data("\"id\":\"\(id)\",".utf8)) { kept.removeSubrange(member) }
    var hash = SHA256Hash()
    hash.update(data: kept)
    return hash.digits
  }

  static func isInside(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count <= 8 && parts.allSatisfy { isName($0) }
  }

  /// Letters, digits, `_`, `.` and `-`, at most 100, and none of the last two at its beginning.
  static func isName(_ name: Substring) -> Bool {
    let bytes = Array(name.utf8)
    guard (1...100).contains(bytes.count), bytes[0] != UInt8(ascii: "."), bytes[0] != UInt8(ascii: "-") else { return false }
    return bytes.allSatisfy { byte in
      let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
      return isLetter || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "_.-".utf8.contains(byte)
    }
  }
}
