// Answers that are Swift values, and tools that are Swift functions.
import Foundation

/// A function that a model may call.
public struct Tool: Sendable {
  public let name: String
  public let description: String
  /// Of its arguments, an object.
  public let parameters: JSONSchema
  /// From the arguments, a JSON document that follows `parameters`, to what the model reads.
  public let run: @Sendable (String) async throws -> String

  public init(
    name: String, description: String, parameters: JSONSchema, run: @escaping @Sendable (String) async throws -> String
  ) {
    self.name = name
    self.description = description
    self.parameters = parameters
    self.run = run
  }

  /// A tool whose arguments are a Swift type.
  public init<Arguments: Generable>(
    name: String, description: String, run: @escaping @Sendable (Arguments) async throws -> String
  ) {
    self.init(name: name, description: description, parameters: Arguments.schema) { arguments in
      try await run(try value(of: Arguments.self, in: arguments, what: "the arguments of `\(name)`"))
    }
  }

  var json: JSONValue {
    [
      "type": "function",
      "function": [
        "name": .string(name), "description": .string(description), "parameters": parameters.value,
      ],
    ]
  }
}

extension TextManager {
  /// The answer as a value of `type`: its schema holds the model to it. Throws `invalidArgument` where `maxTokens` or the
  /// context cut the answer off, and where `type` does not take what its schema allows.
  public nonisolated func chat<Answer: Generable>(
    _ messages: [Message], as type: Answer.Type, _ request: TextRequest = .init(), options: ChatOptions = .init()
  ) async throws -> Answer {
    var options = options
    options.responseFormat = ["type": "json_schema", "json_schema": ["schema": type.schema.value]]
    let (message, result) = try await chat(messages, request, options: options).message()
    if result.finishReason == .length {
      throw cutOff("the answer was cut off after `\(result.completionTokens)` tokens")
    }
    return try value(of: type, in: message.content ?? "", what: "the answer")
  }

  /// Answers `messages`, running the tools that the model calls; the messages that came, the last of them the answer.
  ///
  /// Tools are run in at most `mostRounds` rounds, those of one round one after the other. `toolChoice` holds for the
  /// first round: a model that must call a tool would do so forever. A call of an unknown tool is answered with an error
  /// that the model reads. Throws what a tool throws, and `unsupported` where the model wants more rounds, whose tools are
  /// not run.
  public nonisolated func chat(
    _ messages: [Message], tools: [Tool], mostRounds: Int = 8, _ request: TextRequest = .init(),
    options: ChatOptions = .init()
  ) async throws -> [Message] {
    guard mostRounds >= 0 else {
      throw SphereEdgeError(.invalidArgument, "`\(mostRounds)` is not a number of rounds")
    }
    guard Set(tools.map(\.name)).count == tools.count else {
      throw SphereEdgeError(.invalidArgument, "two tools have the same name")
    }
    var options = options
    options.tools = tools.map(\.json)
    var came: [Message] = []
    for round in 0...mostRounds {
      let (message, _) = try await chat(messages + came, request, options: options).message()
      came.append(message)
      if message.toolCalls.isEmpty { return came }
      if round == mostRounds { break }
      for call in message.toolCalls {
        try Task.checkCancellation()
        came.append(Message(role: "tool", content: try await output(of: call, by: tools), toolCallId: call.id))
      }
      options.toolChoice = nil
    }
    throw SphereEdgeError(
      .unsupported, "the model still calls tools after `\(mostRounds)` rounds", hint: "allow more rounds, or fewer tools")
  }
}

/// What the model reads of its call.
func output(of call: ToolCall, by tools: [Tool]) async throws -> String {
  guard let tool = tools.first(where: { $0.name == call.name }) else { return "unknown tool: \(call.name)" }
  guard case .object? = try? JSONValue(json: call.arguments) else {
    throw cutOff("the arguments of `\(call.name)` were cut off")
  }
  return try await tool.run(call.arguments)
}

private func cutOff(_ message: String) -> SphereEdgeError {
  SphereEdgeError(.invalidArgument, message, hint: "give more maxTokens or a longer context")
}

private func value<Value: Decodable>(of type: Value.Type, in json: String, what: String) throws -> Value {
  do {
    return try JSONDecoder().decode(type, from: Data(json.utf8))
  } catch {
    throw SphereEdgeError(
      .invalidArgument, "\(what) is not a `\(type)`: \(error)", hint: "its schema allows what the type does not take")
  }
}
