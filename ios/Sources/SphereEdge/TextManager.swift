// TextManager: a language model, from a bundle folder or a .gguf file.
import CSphereEdge
import Foundation

/// What was opened; sizes in bytes.
public struct TextInfo: Sendable, Hashable, Decodable {
  public let engine: String
  public let backend: String
  /// The GPU's name and driver.
  public let device: String
  /// Why `backend` is not the bundle's first choice; empty if it is.
  public let backendReason: String
  public let family: String
  public let quantization: String
  public let vocabSize: Int
  public let contextTokens: Int
  public let sequences: Int
  public let threads: Int
  public let weightsBytes: Int
  public let kvCacheBytes: Int
  public let hasChatTemplate: Bool
  public let generates: Bool
  /// Whether messages may have images.
  public let readsImages: Bool
  /// Whether calls may have drafts.
  public let speculates: Bool
  /// Weights and KV cache of the draft model.
  public let draftModelBytes: Int
  /// 0: it makes no embeddings.
  public let embeddingSize: Int
  public let embedTokens: Int
  public let loadSeconds: Double
}

/// Vectors of texts.
public struct Embeddings: Sendable, Hashable {
  /// One for each text, each of `embeddingSize` numbers.
  public let vectors: [[Float]]
  public let tokens: Int
  /// So many of the texts were cut off.
  public let truncated: Int
  public let seconds: Double
}

/// A language model that is open.
///
/// It computes one call at a time, on a thread of its own; others wait for it. A stream begins at once, and the engine
/// stops when the reader stops: when its loop ends, its task is cancelled, or the stream is dropped.
public actor TextManager {
  public nonisolated let info: TextInfo
  public nonisolated var unownedExecutor: UnownedSerialExecutor { model.executor.asUnownedSerialExecutor() }
  private nonisolated let model: Model<TextInfo>

  private init(_ model: Model<TextInfo>) {
    info = model.info
    self.model = model
  }

  /// Opens a bundle folder or a .gguf file. Throws `notFound`, `modelCorrupt`, `formatMismatch` (another runtime or
  /// CPU), `oomRAM`, `loadFailed`, `unsupported`.
  public static func open(_ path: URL, _ options: TextOpenOptions = .init()) async throws -> TextManager {
    try await open(path, options, foreground: nil)
  }

  /// `foreground` nil: the app's, for a model on Metal.
  static func open(_ path: URL, _ options: TextOpenOptions, foreground: Foreground?) async throws -> TextManager {
    let rule = { @Sendable (info: TextInfo) in foreground ?? (info.backend == "metal" ? Foreground.shared : nil) }
    let model = try await Model<TextInfo>.opened(.text, foreground: rule) { memory, opened in
      var filled = try options.filled(memory)
      return se_text_open(try memory.string("the path", path.path), &filled, &opened)
    }
    return TextManager(model)
  }

  /// Continues `prompt`.
  public nonisolated func generate(
    _ prompt: String, _ request: TextRequest = .init()
  ) -> AsyncThrowingStream<TextEvent, any Error> {
    stream(request) { text, options, memory, onDelta, receiver, result in
      se_text_generate(text, try memory.string("the prompt", prompt), &options, onDelta, receiver, &result)
    }
  }

  /// Answers `messages` with the model's own chat template.
  public nonisolated func chat(
    _ messages: [Message], _ request: TextRequest = .init(), options: ChatOptions = .init()
  ) -> AsyncThrowingStream<TextEvent, any Error> {
    stream(request) { text, filled, memory, onDelta, receiver, result in
      let conversation = try memory.string("a message", try Self.conversation(messages, options))
      try Self.fillImages(of: messages, &filled, memory)
      return se_text_chat(text, conversation, &filled, onDelta, receiver, &result)
    }
  }

  /// How many tokens the prompt has that `chat` would compute, also of the images.
  public func countChat(_ messages: [Message], options: ChatOptions = .init()) async throws -> Int {
    let memory = Memory()
    defer { memory.free() }
    let conversation = try memory.string("a message", try Self.conversation(messages, options))
    return try await model.handle.run { text in
      var filled = se_text_generate_options()
      try check(se_text_default_options(text, &filled, MemoryLayout<se_text_generate_options>.size))
      try Self.fillImages(of: messages, &filled, memory)
      var tokens = 0
      try check(se_text_count_chat(text, conversation, &filled, &tokens))
      return tokens
    }
  }

  /// The prompt that `chat` would compute; where it has an image, `<__media__>`.
  public func renderChat(_ messages: [Message], options: ChatOptions = .init()) async throws -> String {
    let memory = Memory()
    defer { memory.free() }
    let conversation = try memory.string("a message", try Self.conversation(messages, options))
    return try await model.handle.run { text in try taken { se_text_render_chat(text, conversation, $0) } }
  }

  /// `addSpecial`: tokens at begin and end as the model expects; `parseSpecial`: `<|im_end|>` is that token.
  public func tokenize(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = false) async throws -> [Int] {
    let bytes = text.utf8.map { CChar(bitPattern: $0) }
    return try await model.handle.run { model in
      var count = 0
      try check(se_text_tokenize(model, bytes, bytes.count, addSpecial, parseSpecial, nil, 0, &count))
      var ids = [Int32](repeating: 0, count: count)
      try check(se_text_tokenize(model, bytes, bytes.count, addSpecial, parseSpecial, &ids, count, &count))
      return ids.map { Int($0) }
    }
  }

  /// Bytes that are not UTF-8 become U+FFFD.
  public func detokenize(_ tokenIds: [Int], keepSpecial: Bool = false) async throws -> String {
    let ids = try tokenIds.map { try fitted("a token", $0, Int32.self) }
    return try await model.handle.run { model in
      var out: UnsafeMutablePointer<CChar>?
      var bytes = 0
      try check(se_text_detokenize(model, ids, ids.count, keepSpecial, &out, &bytes))
      defer { se_string_free(out) }
      return SphereEdge.text(out, bytes)
    }
  }

  /// A vector for each text. Throws `unsupported` for models that make none.
  public func embed(_ texts: [String], _ request: EmbedRequest = .init()) async throws -> Embeddings {
    let memory = Memory()
    defer { memory.free() }
    let strings = UnsafePointer(try memory.strings("a text", texts))
    var options = se_text_embed_options()
    options.size = MemoryLayout<se_text_embed_options>.size
    options.pooling = request.pooling.map { Int32(EmbedRequest.Pooling.allCases.firstIndex(of: $0)!) + 1 } ?? 0
    options.raw = !(request.normalize ?? true)
    options.truncate = request.truncate ?? false
    options.timeout_ms = try milliseconds(request.timeoutSeconds)
    let size = info.embeddingSize
    return try await model.handle.run { model in
      var vectors = [Float](repeating: 0, count: texts.count * size)
      var result = se_text_embed_result()
      result.size = MemoryLayout<se_text_embed_result>.size
      try check(se_text_embed(model, strings, texts.count, &options, &vectors, vectors.count, &result))
      return Embeddings(
        vectors: texts.indices.map { Array(vectors[$0 * size..<($0 + 1) * size]) },
        tokens: Int(result.tokens), truncated: Int(result.truncated), seconds: result.seconds)
    }
  }

  /// Writes the last conversation to a file, to go on with `restore`; its number of tokens.
  public func save(_ file: URL, sequenceKey: String? = nil) async throws -> Int {
    let memory = Memory()
    defer { memory.free() }
    let path = try memory.string("the path", file.path)
    let key = try memory.string("sequenceKey", optional: sequenceKey)
    return try await model.handle.run { model in
      var tokens = 0
      try check(se_text_save(model, key, path, &tokens))
      return tokens
    }
  }

  /// Reads a saved conversation: a prompt that begins with it has only its rest computed. Throws `modelCorrupt`,
  /// `formatMismatch` (another model or backend), `notFound`.
  public func restore(_ file: URL, sequenceKey: String? = nil) async throws -> Int {
    let memory = Memory()
    defer { memory.free() }
    let path = try memory.string("the path", file.path)
    let key = try memory.string("sequenceKey", optional: sequenceKey)
    return try await model.handle.run { model in
      var tokens = 0
      try check(se_text_restore(model, key, path, &tokens))
      return tokens
    }
  }

  /// Forgets what was computed so far: the next call computes its whole prompt.
  public func reset() async throws {
    try await model.handle.run { model in try check(se_text_reset(model)) }
  }

  /// Ends the running call, which throws `cancelled`; any thread.
  public nonisolated func cancel() {
    model.handle.cancel()
  }

  /// Ends the running call, waits for it, and frees the model; a second time it does nothing.
  public nonisolated func close() async {
    await model.close()
  }

  // A call of the core with everything that it needs; its status.
  private typealias Start =
    @Sendable (
      OpaquePointer, inout se_text_generate_options, Memory, se_text_delta_fn, UnsafeMutableRawPointer,
      inout se_text_result
    ) throws -> se_status

  private nonisolated func stream(
    _ request: TextRequest, _ start: @escaping Start
  ) -> AsyncThrowingStream<TextEvent, any Error> {
    model.stream { text, memory, emitter in
      var options = se_text_generate_options()
      try check(se_text_default_options(text, &options, MemoryLayout<se_text_generate_options>.size))
      try request.fill(&options, memory)
      var result = se_text_result()
      result.size = MemoryLayout<se_text_result>.size
      let status = try start(text, &options, memory, onDelta, emitter.pointer, &result)
      let failed = status == SE_OK.int32 ? nil : failure(status)
      if failed == nil || [.cancelled, .timeout].contains(failed?.code) {
        emitter.end(with: .finished(TextResult(result)))
      }
      if let failed { throw failed }
    }
  }

  private static func fillImages(
    of messages: [Message], _ options: inout se_text_generate_options, _ memory: Memory
  ) throws {
    let images = try messages.flatMap(\.parts).compactMap { part -> se_chat_image? in
      guard case .image(let image) = part else { return nil }
      let pixels = try memory.pixels("an image of a message", image, channels: 3)
      return se_chat_image(pixels: pixels, width: UInt32(image.width), height: UInt32(image.height))
    }
    options.images = UnsafePointer(memory.array(images))
    options.image_count = images.count
  }

  private static func conversation(_ messages: [Message], _ options: ChatOptions) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    guard case .object(var document) = try JSONDecoder().decode(JSONValue.self, from: encoder.encode(options)) else {
      throw SphereEdgeError(.internal, "the options of a chat are not an object")
    }
    // Keys that are the caller's stay as they are.
    document["tools"] = options.tools.map { .array($0) }
    document["tool_choice"] = options.toolChoice
    document["response_format"] = options.responseFormat
    document["chat_template_kwargs"] = options.chatTemplateKwargs.map { .object($0) }
    document["messages"] = .array(messages.map(\.json))
    return try JSONValue.object(document).json
  }
}

private let onDelta: se_text_delta_fn = { delta, receiver in
  guard let delta else { return false }
  // A kind that only a newer core knows is left out.
  guard let copy = TextDelta(delta.pointee) else { return true }
  return Emitter<TextEvent>.of(receiver).emit(.delta(copy))
}
