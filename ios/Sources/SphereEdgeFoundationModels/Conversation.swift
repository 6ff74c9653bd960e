// Conversation: what a session asks for, as our messages and options.
#if canImport(FoundationModels, _version: 2)
  import Foundation
  import FoundationModels
  import SphereEdge

  #if canImport(CoreImage)
    import CoreImage
  #endif

  @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
  struct Conversation {
    // Reasoning at the level `light` ends after so many tokens.
    private static let lightReasoningTokens = 512
    private(set) var messages: [Message] = []
    private(set) var request = TextRequest()
    private(set) var options = ChatOptions()
    private let readsImages: Bool
    // Belongs to the assistant's next message.
    private var reasoning = ""

    /// What the prompts of a session begin with that has `transcript`, and the tools of its instructions.
    init(of transcript: Transcript, readsImages: Bool, reasons: Bool) throws {
      self.readsImages = readsImages
      for entry in transcript {
        try add(entry)
        if case .instructions(let instructions) = entry { try offer(instructions.toolDefinitions, nil) }
      }
      if !reasons { options.reasoning = false }
    }

    /// Throws `LanguageModelError.unsupportedTranscriptContent` for attachments that the model does not read.
    init(of asked: LanguageModelExecutorGenerationRequest, readsImages: Bool, reasons: Bool) throws {
      try self.init(of: asked.transcript, readsImages: readsImages, reasons: reasons)
      choose(asked.generationOptions)
      try offer(asked.enabledToolDefinitions, asked.generationOptions.toolCallingMode)
      // A round that must call a tool gives no answer yet.
      if let schema = asked.schema, options.toolChoice != "required" {
        try follow(schema, inPrompt: asked.contextOptions.includeSchemaInPrompt ?? true)
      }
      if reasons, let level = asked.contextOptions.reasoningLevel {
        if case .light = level { options.reasoning = .integer(Self.lightReasoningTokens) } else { options.reasoning = true }
      }
    }

    private mutating func choose(_ asked: GenerationOptions) {
      request.maxTokens = asked.maximumResponseTokens
      request.temperature = asked.temperature.map { Float($0) }
      switch asked.samplingMode?.kind {
      case .greedy: request.temperature = 0
      case .randomTopK(let count, let seed): (request.topK, request.seed) = (count, seed.map(Self.fitting))
      case .randomProbabilityThreshold(let sum, let seed): (request.topP, request.seed) = (Float(sum), seed.map(Self.fitting))
      default: break
      }
    }

    /// The core's seeds have 32 bits, of which the greatest value stands for a random one.
    private static func fitting(_ seed: UInt64) -> Int { Int(seed % UInt64(UInt32.max)) }

    private mutating func offer(
      _ tools: [Transcript.ToolDefinition], _ mode: GenerationOptions.ToolCallingMode?
    ) throws {
      options.tools = nil
      guard !tools.isEmpty else { return }
      options.tools = try tools.map { tool in
        [
          "type": "function",
          "function": [
            "name": .string(tool.name), "description": .string(tool.description), "parameters": try Self.json(tool.parameters),
          ],
        ]
      }
      switch mode?.kind {
      case .required: options.toolChoice = "required"
      case .disallowed: options.toolChoice = "none"
      default: break
      }
    }

    private mutating func follow(_ schema: GenerationSchema, inPrompt: Bool) throws {
      let value = try Self.json(schema)
      options.responseFormat = ["type": "json_schema", "json_schema": ["schema": value]]
      guard inPrompt, let last = messages.lastIndex(where: { $0.role == "user" }) else { return }
      let asked = "\n\nAnswer with JSON that follows this schema:\n\(try value.json)"
      if messages[last].parts.isEmpty {
        messages[last].content = (messages[last].content ?? "") + asked
      } else {
        messages[last].parts.append(.text(asked))
      }
    }

    /// `GenerationSchema` encodes to JSON Schema.
    private static func json(_ schema: GenerationSchema) throws -> JSONValue {
      try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(schema))
    }

    private mutating func add(_ entry: Transcript.Entry) throws {
      switch entry {
      case .instructions(let instructions):
        messages.append(.system(try text(of: instructions.segments, in: entry)))
      case .prompt(let prompt):
        messages.append(try user(prompt.segments, entry))
      case .reasoning(let thoughts):
        reasoning += try text(of: thoughts.segments, in: entry)
      case .response(let response):
        messages.append(assistant(try text(of: response.segments, in: entry)))
      case .toolCalls(let calls):
        // Templates take one message of the assistant for what it said and called.
        if messages.last?.role != "assistant" || messages.last?.toolCalls.isEmpty == false { messages.append(assistant(nil)) }
        messages[messages.count - 1].toolCalls = calls.map {
          SphereEdge.ToolCall(id: $0.id, name: $0.toolName, arguments: $0.arguments.jsonString)
        }
      case .toolOutput(let output):
        messages.append(
          Message(role: "tool", content: try text(of: output.segments, in: entry), toolCallId: output.id))
      default:
        // Data outside the conversation.
        break
      }
    }

    private mutating func assistant(_ content: String?) -> Message {
      defer { reasoning = "" }
      return Message(role: "assistant", content: content, reasoningContent: reasoning.isEmpty ? nil : reasoning)
    }

    private func user(_ segments: [Transcript.Segment], _ entry: Transcript.Entry) throws -> Message {
      let parts = try segments.map { try part($0, entry) }
      if let texts = Self.texts(parts) { return .user(texts) }
      var message = Message(role: "user", content: nil)
      message.parts = parts
      return message
    }

    private func text(of segments: [Transcript.Segment], in entry: Transcript.Entry) throws -> String {
      guard let texts = Self.texts(try segments.map { try part($0, entry) }) else {
        throw Self.unread(entry, "only prompts may have images")
      }
      return texts
    }

    /// nil where there is an image.
    private static func texts(_ parts: [Part]) -> String? {
      var texts: [String] = []
      for part in parts {
        guard case .text(let text) = part else { return nil }
        texts.append(text)
      }
      return texts.joined(separator: "\n")
    }

    private func part(_ segment: Transcript.Segment, _ entry: Transcript.Entry) throws -> Part {
      switch segment {
      case .text(let text): return .text(text.content)
      case .structure(let structure): return .text(structure.content.jsonString)
      case .attachment(let attachment):
        guard readsImages else { throw Self.unread(entry, "the model reads text only") }
        #if canImport(CoreImage)
          if case .image(let image) = attachment.content { return .image(try Self.upright(image)) }
        #endif
        throw Self.unread(entry, "the attachment `\(attachment.label ?? attachment.id)` is not an image")
      default: throw Self.unread(entry, "a segment is neither text nor an attachment")
      }
    }

    private static func unread(_ entry: Transcript.Entry, _ why: String) -> LanguageModelError {
      .unsupportedTranscriptContent(.init(unsupportedContent: [entry], debugDescription: why))
    }

    #if canImport(CoreImage)
      /// The pixels as people see them: an attachment keeps how it is turned beside them.
      private static func upright(_ image: Transcript.ImageAttachment) throws -> Pixels {
        let turned = image.ciImage.oriented(image.orientation)
        return try Pixels(CIContext().createCGImage(turned, from: turned.extent) ?? image.cgImage)
      }
    #endif
  }
#endif
