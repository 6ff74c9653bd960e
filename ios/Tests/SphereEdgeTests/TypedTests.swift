// Typed answers, tools, what fits, and the log.
import Foundation
import Testing

@testable import SphereEdge

struct Colour: Generable, Equatable {
  let name: String
  let sure: Bool
  static let schema = JSONSchema.object(["name": .oneOf(["green"]), "sure": .boolean(guide: "whether it is")])
}

struct Place: Generable {
  let city: String
  static let schema = JSONSchema.object(["city": .oneOf(["Paris"])])
}

@Suite struct TypedTests {
  @Test func answerIsAValue() async throws {
    let text = try await TextManager.open(Given.text)
    let answer = try await text.chat([.user("Hi")], as: Colour.self, TextRequest(temperature: 0))
    #expect(answer.name == "green")
    let cut = await #expect(throws: SphereEdgeError.self) {
      try await text.chat([.user("Hi")], as: Colour.self, TextRequest(maxTokens: 2))
    }
    #expect(cut?.code == .invalidArgument && cut?.message.contains("cut off") == true)
    await text.close()
  }

  @Test func propertiesComeInTheOrderOfTheSchema() throws {
    let schema = JSONSchema.object(["why": .string(), "answer": .object(["z": .integer(), "a": .integer()])], optional: ["why"])
    let written = try schema.value.json
    let places = try ["\"why\":", "\"answer\":", "\"z\":", "\"a\":"].map { try #require(written.range(of: $0)).lowerBound }
    #expect(places == places.sorted())
    #expect(try JSONValue(json: written) == schema.value)
    // Names that are no properties, twice or not there, and no names at all.
    let odd: JSONValue = ["properties": ["b": 1, "a": "\n\u{1F98A}/"], "x-order": ["b", "c", "b", 3]]
    #expect(try odd.json == #"{"properties":{"b":1,"a":"\n🦊/"},"x-order":["b","c","b",3]}"#)
    #expect(
      try JSONValue.object(["properties": ["b": nil, "a": [1.5, true]], "x-order": 1]).json
        == #"{"properties":{"a":[1.5,true],"b":null},"x-order":1}"#)
    #expect(throws: SphereEdgeError.self) { try JSONValue.array([.number(.nan)]).json }
  }

  @available(*, deprecated)
  @Test func aDictionaryOfPropertiesComesInTheOrderOfTheAlphabet() {
    let properties: [String: JSONSchema] = ["b": .integer(), "c": .string(), "a": .boolean()]
    let schema = JSONSchema.object(properties, optional: ["a"])
    #expect(schema == JSONSchema.object(["a": .boolean(), "b": .integer(), "c": .string()], optional: ["a"]))
  }

  @Test func toolsAreRunAndTheirRoundsAreCounted() async throws {
    let text = try await TextManager.open(Given.text)
    let weather = Tool(name: "weather", description: "The weather in a city") { (place: Place) in "rain in \(place.city)" }
    var options = ChatOptions()
    options.toolChoice = "required"
    options.parallelToolCalls = false
    let error = await #expect(throws: SphereEdgeError.self) {
      try await text.chat([.user("Rain?")], tools: [weather], mostRounds: 0, TextRequest(temperature: 0), options: options)
    }
    #expect(error?.code == .unsupported && error?.message.contains("`0` rounds") == true)
    let repeated = await #expect(throws: SphereEdgeError.self) {
      try await text.chat([.user("Rain?")], tools: [weather, weather])
    }
    #expect(repeated?.code == .invalidArgument)
    let came = try await text.chat([.user("What colour is the sky?")], tools: [], TextRequest(maxTokens: 20, temperature: 0))
    #expect(came.count == 1 && came[0].role == "assistant")
    await text.close()
  }

  @Test func callsThatCannotBeRunAreToldOrRefused() async throws {
    let weather = Tool(name: "weather", description: "The weather in a city") { (place: Place) in "rain in \(place.city)" }
    func told(_ name: String, _ arguments: String) async throws -> String {
      try await output(of: ToolCall(id: "1", name: name, arguments: arguments), by: [weather])
    }
    #expect(try await told("weather", #"{"city": "Paris"}"#) == "rain in Paris")
    #expect(try await told("taxi", "{}") == "unknown tool: taxi")
    let cut = await #expect(throws: SphereEdgeError.self) { try await told("weather", #"{"city": "Par"#) }
    #expect(cut?.code == .invalidArgument && cut?.message == "the arguments of `weather` were cut off")
  }

  @Test func fitsIsKnownBeforeAModelIsOpened() throws {
    let fit = try fits(Given.text)
    #expect(fit.neededBytes ?? 0 > 100_000 && fit.availableBytes > 0 && fit.fits)
    #expect(throws: SphereEdgeError.self) { try fits(URL(fileURLWithPath: "/no/model")) }
  }

  @Test func whatCCannotTakeIsRefused() async throws {
    let text = try await TextManager.open(Given.text)
    for request in [TextRequest(maxTokens: -1), TextRequest(temperature: .nan), TextRequest(timeoutSeconds: -1)] {
      let error = await #expect(throws: SphereEdgeError.self) { try await text.generate("Hi", request).text() }
      #expect(error?.code == .invalidArgument)
    }
    let error = await #expect(throws: SphereEdgeError.self) { try await text.generate("a\0b").text() }
    #expect(error?.message == "the prompt contains the NUL character")
    await text.close()
  }
}
