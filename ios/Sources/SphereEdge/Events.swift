// What comes out of a text model while it generates, and the figures at the end.
import CSphereEdge
import Foundation

/// The log probability of a token as the model computed it, before temperature, penalties and grammar.
public struct TokenLogprob: Sendable, Hashable {
  public let tokenId: Int
  /// Natural logarithm.
  public let logprob: Float
  /// May be a part of a character.
  public let bytes: [UInt8]
  /// The likeliest tokens at its place.
  public let topLogprobs: [TokenLogprob]

  init(_ filled: se_token_logprob) {
    tokenId = Int(filled.token_id)
    logprob = filled.logprob
    bytes = Array(UnsafeRawBufferPointer(start: filled.bytes, count: filled.byte_count))
    topLogprobs = UnsafeBufferPointer(start: filled.top, count: filled.top_count).map { TokenLogprob($0) }
  }
}

/// A piece of an answer.
public struct TextDelta: Sendable, Hashable {
  public enum Kind: Int32, Sendable {
    case text, reasoning, toolCallBegin, toolCallArguments, toolCallEnd
  }

  public let kind: Kind
  /// Whole characters; the arguments of a tool call together are JSON.
  public let text: String
  /// Of a tool call, from 0.
  public let toolIndex: Int
  /// Where a tool call begins, else empty.
  public let toolCallId: String
  public let toolName: String
  /// Of all tokens since the last delta, if the request asks for them.
  public let logprobs: [TokenLogprob]

  /// nil for a kind that only a newer core knows.
  init?(_ filled: se_text_delta) {
    guard let kind = Kind(rawValue: filled.kind) else { return nil }
    self.kind = kind
    text = SphereEdge.text(filled.text, filled.text_bytes)
    toolIndex = Int(filled.tool_index)
    toolCallId = SphereEdge.text(filled.tool_call_id)
    toolName = SphereEdge.text(filled.tool_name)
    logprobs = UnsafeBufferPointer(start: filled.logprobs, count: filled.logprob_count).map { TokenLogprob($0) }
  }
}

/// How a generation went.
public struct TextResult: Sendable, Hashable {
  public enum FinishReason: Int32, Sendable {
    /// The model ended the answer, or a stop string or token did.
    case stop
    /// `maxTokens`, or the context is full.
    case length
    case cancelled
    /// The model wants its tools called.
    case toolCalls
  }

  public let finishReason: FinishReason
  /// Which one of `stop` ended it; nil: none of them.
  public let stopIndex: Int?
  public let promptTokens: Int
  /// Of the prompt's, reused from an earlier call.
  public let cachedTokens: Int
  public let completionTokens: Int
  /// Of the completion's.
  public let reasoningTokens: Int
  /// Repeats the text.
  public let seed: Int
  public let prefillSeconds: Double
  public let firstTokenSeconds: Double
  public let decodeSeconds: Double
  public let backend: String
  /// Drafted tokens that the model checked.
  public let draftTokens: Int
  /// Of these, tokens of the answer.
  public let acceptedTokens: Int

  init(_ filled: se_text_result) {
    finishReason = FinishReason(rawValue: filled.finish_reason) ?? .stop
    stopIndex = filled.stop_index < 0 ? nil : Int(filled.stop_index)
    promptTokens = Int(filled.prompt_tokens)
    cachedTokens = Int(filled.cached_tokens)
    completionTokens = Int(filled.completion_tokens)
    reasoningTokens = Int(filled.reasoning_tokens)
    seed = Int(filled.seed)
    prefillSeconds = filled.prefill_seconds
    firstTokenSeconds = filled.first_token_seconds
    decodeSeconds = filled.decode_seconds
    backend = SphereEdge.text(ofCharacters: filled.backend)
    draftTokens = Int(filled.draft_tokens)
    acceptedTokens = Int(filled.accepted_tokens)
  }
}

/// What a stream of text gives: its pieces, then how it went. A cancelled stream, or one that ran out of
/// time, also reports how it went before it throws.
public enum TextEvent: Sendable, Hashable {
  case delta(TextDelta)
  case finished(TextResult)
}

/// A call of a tool that the model asks for.
public struct ToolCall: Sendable, Hashable {
  public let id: String
  public let name: String
  /// A JSON document.
  public let arguments: String

  public init(id: String, name: String, arguments: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
  }
}

/// A piece of a message: text, or an image in RGB for models that read images (`TextInfo.readsImages`).
public enum Part: Sendable, Hashable {
  case text(String)
  case image(Pixels)

  var json: JSONValue {
    switch self {
    case .text(let text): ["type": "text", "text": .string(text)]
    case .image: ["type": "image"]
    }
  }
}

/// A message of a chat.
public struct Message: Sendable, Hashable {
  /// `system`, `developer`, `user`, `assistant` or `tool`.
  public var role: String
  public var content: String?
  /// Of a user or tool: text and images in any order, instead of `content`.
  public var parts: [Part] = []
  public var reasoningContent: String?
  public var toolCalls: [ToolCall]
  /// The call that a message of the role `tool` answers.
  public var toolCallId: String?

  public init(
    role: String, content: String?, reasoningContent: String? = nil, toolCalls: [ToolCall] = [],
    toolCallId: String? = nil
  ) {
    self.role = role
    self.content = content
    self.reasoningContent = reasoningContent
    self.toolCalls = toolCalls
    self.toolCallId = toolCallId
  }

  public static func system(_ content: String) -> Message { Message(role: "system", content: content) }
  public static func user(_ content: String) -> Message { Message(role: "user", content: content) }
  public static func assistant(_ content: String) -> Message { Message(role: "assistant", content: content) }

  /// Text and images in any order.
  public static func user(_ parts: Part...) -> Message {
    var message = Message(role: "user", content: nil)
    message.parts = parts
    return message
  }

  var json: JSONValue {
    var object: [String: JSONValue] = ["role": .string(role), "content": content.map { .string($0) } ?? .null]
    if !parts.isEmpty { object["content"] = .array(parts.map(\.json)) }
    if let reasoningContent { object["reasoning_content"] = .string(reasoningContent) }
    if let toolCallId { object["tool_call_id"] = .string(toolCallId) }
    if !toolCalls.isEmpty {
      object["tool_calls"] = .array(
        toolCalls.map { call in
          [
            "id": .string(call.id), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
          ]
        })
    }
    return .object(object)
  }
}

extension AsyncSequence where Element == TextEvent {
  /// Reads to the end; the whole answer as a message, and how it went.
  public func message() async throws -> (message: Message, result: TextResult) {
    var content = ""
    var reasoning = ""
    var calls: [(id: String, name: String, arguments: String)] = []
    var result: TextResult?
    for try await event in self {
      switch event {
      case .finished(let figures): result = figures
      case .delta(let delta):
        switch delta.kind {
        case .text: content += delta.text
        case .reasoning: reasoning += delta.text
        case .toolCallBegin: calls.append((delta.toolCallId, delta.toolName, ""))
        case .toolCallArguments: calls[calls.count - 1].arguments += delta.text
        case .toolCallEnd: break
        }
      }
    }
    // The task that reads was cancelled: then a stream just ends.
    guard let result else { throw CancellationError() }
    let message = Message(
      role: "assistant", content: content.isEmpty && !calls.isEmpty ? nil : content,
      reasoningContent: reasoning.isEmpty ? nil : reasoning,
      toolCalls: calls.map { ToolCall(id: $0.id, name: $0.name, arguments: $0.arguments) })
    return (message, result)
  }

  /// Reads to the end; the whole text.
  public func text() async throws -> String {
    try await message().message.content ?? ""
  }
}
