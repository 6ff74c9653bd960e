// JSON values and the schemas of answers that are Swift types.
import Foundation

/// Any JSON.
public enum JSONValue: Sendable, Hashable, Codable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements) { _, last in last })
  }

  public init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let integer = try? value.decode(Int.self) {
      self = .integer(integer)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([JSONValue].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSONValue].self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    switch self {
    case .null: try value.encodeNil()
    case .bool(let bool): try value.encode(bool)
    case .integer(let integer): try value.encode(integer)
    case .number(let number): try value.encode(number)
    case .string(let string): try value.encode(string)
    case .array(let array): try value.encode(array)
    case .object(let object): try value.encode(object)
    }
  }

  /// The value that `json` writes. Throws `invalidArgument` where it is not JSON.
  public init(json: String) throws {
    do {
      self = try JSONDecoder().decode(JSONValue.self, from: Data(json.utf8))
    } catch {
      throw SphereEdgeError(.invalidArgument, "`\(json.prefix(80))` is not JSON")
    }
  }

  /// As text, the keys of objects sorted; the properties of a schema in the order that its `x-order` names.
  public var json: String {
    get throws { try written() }
  }

  private func written(order: JSONValue? = nil) throws -> String {
    switch self {
    case .array(let array):
      return "[\(try array.map { try $0.written() }.joined(separator: ","))]"
    case .object(let object):
      var first: [String] = []
      if case .array(let names) = order {
        for case .string(let name) in names where object[name] != nil && !first.contains(name) { first.append(name) }
      }
      let keys = first + object.keys.filter { !first.contains($0) }.sorted()
      let members = try keys.map { key in
        let value = try object[key]!.written(order: key == "properties" ? object["x-order"] : nil)
        return "\(try JSONValue.string(key).written()):\(value)"
      }
      return "{\(members.joined(separator: ","))}"
    default:
      let encoder = JSONEncoder()
      encoder.outputFormatting = .withoutEscapingSlashes
      do {
        return String(decoding: try encoder.encode(self), as: UTF8.self)
      } catch {
        throw SphereEdgeError(.invalidArgument, "infinity and NaN are not JSON")
      }
    }
  }
}

/// A type whose values a model can generate: it decodes from JSON that follows `schema`.
///
///     struct Colour: Generable {
///       let name: String
///       static let schema = JSONSchema.object(["name": .string(guide: "in English")])
///     }
public protocol Generable: Decodable, Sendable {
  static var schema: JSONSchema { get }
}

/// A JSON schema, which holds the model's output to it.
public struct JSONSchema: Sendable, Hashable {
  public let value: JSONValue

  /// Any schema.
  public init(_ value: JSONValue) {
    self.value = value
  }

  public static func string(guide: String? = nil) -> JSONSchema { of("string", guide) }
  public static func integer(guide: String? = nil) -> JSONSchema { of("integer", guide) }
  public static func number(guide: String? = nil) -> JSONSchema { of("number", guide) }
  public static func boolean(guide: String? = nil) -> JSONSchema { of("boolean", guide) }

  /// One of these strings.
  public static func oneOf(_ values: [String]) -> JSONSchema {
    JSONSchema(["enum": .array(values.map { .string($0) })])
  }

  public static func array(_ items: JSONSchema, most: Int? = nil) -> JSONSchema {
    var schema: [String: JSONValue] = ["type": "array", "items": items.value]
    if let most { schema["maxItems"] = .integer(most) }
    return JSONSchema(.object(schema))
  }

  /// All properties are required, unless they are in `optional`; the model writes them in this order.
  public static func object(
    _ properties: KeyValuePairs<String, JSONSchema>, optional: Set<String> = []
  ) -> JSONSchema {
    ordered(properties.map { ($0.key, $0.value) }, optional)
  }

  /// The properties of a dictionary have no order: they come in that of the alphabet.
  @_disfavoredOverload
  @available(*, deprecated, message: "write the properties as a literal, whose order the model keeps")
  public static func object(_ properties: [String: JSONSchema], optional: Set<String> = []) -> JSONSchema {
    ordered(properties.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, optional)
  }

  private static func ordered(_ properties: [(String, JSONSchema)], _ optional: Set<String>) -> JSONSchema {
    let names = properties.map(\.0)
    return JSONSchema([
      "type": "object",
      "properties": .object(Dictionary(properties.map { ($0.0, $0.1.value) }) { _, last in last }),
      "required": .array(names.filter { !optional.contains($0) }.map { .string($0) }),
      "additionalProperties": false,
      "x-order": .array(names.map { .string($0) }),
    ])
  }

  private static func of(_ type: String, _ guide: String?) -> JSONSchema {
    var schema: [String: JSONValue] = ["type": .string(type)]
    if let guide { schema["description"] = .string(guide) }
    return JSONSchema(.object(schema))
  }
}
