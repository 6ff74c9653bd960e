// Values on their way into the C core and out of it.
import CSphereEdge
import Foundation

extension BinaryInteger {
  /// Enums of the header have another type on each platform.
  var int32: Int32 { Int32(truncatingIfNeeded: self) }
}

extension RawRepresentable where RawValue: BinaryInteger {
  var int32: Int32 { rawValue.int32 }
}

/// A value that several threads use.
final class Guarded<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  func with<Output>(_ body: (inout Value) throws -> Output) rethrows -> Output {
    try lock.withLock { try body(&value) }
  }
}

/// C arrays and strings that live until `free`, which a `defer` calls: without a later use of this object
/// Swift may end it before the call of the core that reads them.
final class Memory {
  private var blocks: [UnsafeMutableRawPointer] = []

  func free() {
    for block in blocks { Foundation.free(block) }
    blocks = []
  }

  func string(_ what: String, _ text: String) throws -> UnsafePointer<CChar> {
    if text.utf8.contains(0) {
      throw SphereEdgeError(.invalidArgument, "\(what) contains the NUL character")
    }
    return UnsafePointer(array(Array(text.utf8CString))!)
  }

  func string(_ what: String, optional text: String?) throws -> UnsafePointer<CChar>? {
    guard let text else { return nil }
    return try string(what, text)
  }

  func strings(_ what: String, _ texts: [String]) throws -> UnsafeMutablePointer<UnsafePointer<CChar>?>? {
    array(try texts.map { try string(what, $0) as UnsafePointer<CChar>? })
  }

  /// A copy; nil of nothing.
  func array<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element>? {
    guard !elements.isEmpty else { return nil }
    let block = malloc(elements.count * MemoryLayout<Element>.stride)!
    blocks.append(block)
    let first = block.bindMemory(to: Element.self, capacity: elements.count)
    first.initialize(from: elements, count: elements.count)
    return first
  }

  /// The one copy of an image; nil of nothing.
  func bytes(_ data: Data) -> UnsafePointer<UInt8>? {
    guard !data.isEmpty else { return nil }
    let block = malloc(data.count)!
    blocks.append(block)
    let first = block.bindMemory(to: UInt8.self, capacity: data.count)
    data.copyBytes(to: first, count: data.count)
    return UnsafePointer(first)
  }
}

/// The string that a function of the core allocates, which is freed.
func taken(_ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> se_status) throws -> String {
  var out: UnsafeMutablePointer<CChar>?
  try check(call(&out))
  defer { se_string_free(out) }
  return out.map { String(cString: $0) } ?? ""
}

/// The core's JSON, whose names have underscores.
func decoded<Value: Decodable>(_ type: Value.Type, _ json: String) throws -> Value {
  let decoder = JSONDecoder()
  decoder.keyDecodingStrategy = .convertFromSnakeCase
  do {
    return try decoder.decode(type, from: Data(json.utf8))
  } catch {
    throw SphereEdgeError(.internal, "the runtime's description is not read: \(error)")
  }
}

/// Bytes that the core lends, as text; what is not UTF-8 becomes U+FFFD.
func text(_ bytes: UnsafePointer<CChar>?, _ count: Int) -> String {
  guard let bytes else { return "" }
  return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
}

func text(_ string: UnsafePointer<CChar>?) -> String {
  string.map { String(cString: $0) } ?? ""
}

/// The text in a C array of characters, which Swift sees as a tuple.
func text<Tuple>(ofCharacters tuple: Tuple) -> String {
  withUnsafeBytes(of: tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

func milliseconds(_ seconds: Double?) throws -> UInt32 {
  guard let seconds else { return 0 }
  guard seconds > 0, seconds <= Double(UInt32.max) / 1000 else {
    throw SphereEdgeError(
      .invalidArgument, "`\(seconds)` is not a value of timeoutSeconds", hint: "leave it out for no limit")
  }
  // 0 would be no limit.
  return max(1, UInt32(seconds * 1000))
}

/// `value` as the core's type; refused where it does not fit.
func fitted<Value: FixedWidthInteger>(_ name: String, _ value: Int, _ type: Value.Type) throws -> Value {
  guard let fits = Value(exactly: value) else {
    throw SphereEdgeError(.invalidArgument, "`\(value)` is not a value of \(name)")
  }
  return fits
}
