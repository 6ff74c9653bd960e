// The JSON of the contract's cases as the runner reads it.
import Foundation

@testable import SphereEdge

extension JSONValue {
  subscript(_ key: String) -> JSONValue { fields[key] ?? .null }
  var fields: [String: JSONValue] { if case .object(let fields) = self { fields } else { [:] } }
  var list: [JSONValue] { if case .array(let list) = self { list } else { [] } }
  var text: String { if case .string(let text) = self { text } else { "" } }
  var int: Int { if case .integer(let int) = self { int } else { -1 } }
  var isObject: Bool { if case .object = self { true } else { false } }

  var double: Double {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: .nan
    }
  }

  /// With every number as one kind.
  var alike: JSONValue {
    switch self {
    case .integer(let integer): .number(Double(integer))
    case .array(let list): .array(list.map(\.alike))
    case .object(let fields): .object(fields.mapValues(\.alike))
    default: self
    }
  }
}

/// `defaults` with the fields that `given` names as Python does; fails at a name that is not a field.
func request<Value: Codable>(_ defaults: Value, _ given: JSONValue) throws -> Value {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  let known = Set(Mirror(reflecting: defaults).children.compactMap { $0.label.map(snake) })
  var fields = try JSONDecoder().decode(JSONValue.self, from: encoder.encode(defaults)).fields
  for (key, value) in given.fields {
    let name = key == "timeout_s" ? "timeout_seconds" : key
    guard known.contains(name) else { throw Problem(description: "unknown field \(key)") }
    fields[name] = value
  }
  let decoder = JSONDecoder()
  decoder.keyDecodingStrategy = .custom { path in
    Key(stringValue: path.count == 1 ? camel(path[0].stringValue) : path.last!.stringValue)
  }
  decoder.nonConformingFloatDecodingStrategy = .convertFromString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return try decoder.decode(Value.self, from: Data(try JSONValue.object(fields).json.utf8))
}

private func snake(_ name: String) -> String {
  name.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
}

private func camel(_ name: String) -> String {
  let words = name.split(separator: "_")
  return String(words[0]) + words.dropFirst().map(\.capitalized).joined()
}

private struct Key: CodingKey {
  let stringValue: String
  var intValue: Int? { Int(stringValue) }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { stringValue = String(intValue) }
}

extension Array where Element: Sendable {
  /// The elements as a stream that has them all.
  var stream: AsyncStream<Element> {
    AsyncStream { stream in
      for element in self { stream.yield(element) }
      stream.finish()
    }
  }
}
