// How models are opened and used; the names are those of Python and C.
import CSphereEdge
import Foundation

/// How a text model is opened. nil and 0: as the bundle says.
public struct TextOpenOptions: Sendable, Hashable, Codable {
  /// 0: one per performance core.
  public var threads: Int
  /// 0: what the bundle was made for; for a .gguf file min(4096, the model's own).
  public var contextTokens: Int
  /// `cpu` or `metal`; nil: the bundle's first, or the next one where that fails.
  public var backend: String?
  /// Where compiled code lies if not in the bundle: in an app it must be part of the app.
  public var codeFolder: URL?
  /// For compiled GPU kernels; nil: the app's caches.
  public var cacheFolder: URL?
  /// Conversations that keep their KV caches, each with memory for a whole context; their calls run one after the other.
  public var sequences: Int = 1
  /// A smaller bundle or .gguf file with the same tokenizer, whose drafts the model checks: its text comes sooner.
  public var draftModel: URL?
  /// The image encoder of a bare .gguf, a GGUF file; nil: it reads text only. A bundle has its own.
  public var mmproj: URL?
  /// Whose bundles are opened: a public key as PEM, or the text of a file of trusted keys (docs/signing.md). Every file is
  /// hashed then, and what none of them has signed is refused with `untrusted`. nil: anybody's.
  public var trustedKeys: String?

  public init(
    threads: Int = 0, contextTokens: Int = 0, backend: String? = nil, codeFolder: URL? = nil, cacheFolder: URL? = nil
  ) {
    self.threads = threads
    self.contextTokens = contextTokens
    self.backend = backend
    self.codeFolder = codeFolder
    self.cacheFolder = cacheFolder
  }

  func filled(_ memory: Memory) throws -> se_text_open_options {
    var options = se_text_open_options()
    options.size = MemoryLayout<se_text_open_options>.size
    options.threads = try fitted("threads", threads, Int32.self)
    options.context_tokens = try fitted("contextTokens", contextTokens, UInt32.self)
    options.backend = try memory.string("backend", optional: backend)
    options.code_folder = try memory.string("codeFolder", optional: codeFolder?.path)
    options.cache_folder = try memory.string("cacheFolder", optional: cacheFolder?.path)
    options.sequences = try fitted("sequences", sequences, UInt32.self)
    options.draft_model = try memory.string("draftModel", optional: draftModel?.path)
    options.mmproj = try memory.string("mmproj", optional: mmproj?.path)
    options.trusted_keys = try memory.string("trustedKeys", optional: trustedKeys)
    return options
  }
}

/// Where drafts come from: nowhere, the prompt and the answer so far, the draft model of the open options.
public enum Draft: String, Sendable, Codable, CaseIterable {
  case off
  case promptLookup = "prompt_lookup"
  case model
}

/// How tokens are chosen and when to stop; nil: the model's own default. docs/text.md tells each of them.
public struct TextRequest: Sendable, Hashable, Codable {
  public var maxTokens: Int?
  public var temperature: Float?
  public var topK: Int?
  public var topP: Float?
  public var minP: Float?
  public var repeatPenalty: Float?
  public var presencePenalty: Float?
  public var frequencyPenalty: Float?
  public var repeatLastN: Int?
  public var xtcProbability: Float?
  public var xtcThreshold: Float?
  public var dryMultiplier: Float?
  public var dryBase: Float?
  public var dryAllowedLength: Int?
  public var dryLastN: Int?
  public var drySequenceBreakers: [String]?
  /// Added to the logits of these tokens; minus infinity forbids one.
  public var logitBias: [Int: Float]?
  public var seed: Int?
  public var stop: [String]?
  public var stopTokenIds: [Int]?
  /// GBNF; not together with `jsonSchema`.
  public var grammar: String?
  public var jsonSchema: String?
  public var ignoreEndOfText: Bool?
  public var logprobs: Bool?
  /// So many of the likeliest tokens at each place, at most 20.
  public var topLogprobs: Int?
  /// Names a conversation, which keeps its KV cache among those of `sequences`.
  public var sequenceKey: String?
  /// Changes when the text comes and not what it is.
  public var draft: Draft?
  /// The most that are drafted at once, at most 31; nil: as long as they save time.
  public var draftTokens: Int?
  /// What the answer may repeat besides the prompt, such as a file to edit; with prompt lookup only.
  public var prediction: String?
  public var timeoutSeconds: Double?

  public init(
    maxTokens: Int? = nil, temperature: Float? = nil, topP: Float? = nil, seed: Int? = nil, stop: [String]? = nil,
    jsonSchema: String? = nil, timeoutSeconds: Double? = nil
  ) {
    self.maxTokens = maxTokens
    self.temperature = temperature
    self.topP = topP
    self.seed = seed
    self.stop = stop
    self.jsonSchema = jsonSchema
    self.timeoutSeconds = timeoutSeconds
  }

  /// Over the model's defaults in `options`; what it points to is kept by `memory`.
  func fill(_ options: inout se_text_generate_options, _ memory: Memory) throws {
    func set<Value: FixedWidthInteger>(_ field: inout Value, _ name: String, _ value: Int?) throws {
      if let value { field = try fitted(name, value, Value.self) }
    }
    func set(_ field: inout Float, _ name: String, _ value: Float?) throws {
      guard let value else { return }
      guard value.isFinite else { throw SphereEdgeError(.invalidArgument, "`\(value)` is not a value of \(name)") }
      field = value
    }
    try set(&options.max_tokens, "maxTokens", maxTokens)
    try set(&options.temperature, "temperature", temperature)
    try set(&options.top_k, "topK", topK)
    try set(&options.top_p, "topP", topP)
    try set(&options.min_p, "minP", minP)
    try set(&options.repeat_penalty, "repeatPenalty", repeatPenalty)
    try set(&options.presence_penalty, "presencePenalty", presencePenalty)
    try set(&options.frequency_penalty, "frequencyPenalty", frequencyPenalty)
    try set(&options.repeat_last_n, "repeatLastN", repeatLastN)
    try set(&options.xtc_probability, "xtcProbability", xtcProbability)
    try set(&options.xtc_threshold, "xtcThreshold", xtcThreshold)
    try set(&options.dry_multiplier, "dryMultiplier", dryMultiplier)
    try set(&options.dry_base, "dryBase", dryBase)
    try set(&options.dry_allowed_length, "dryAllowedLength", dryAllowedLength)
    try set(&options.dry_last_n, "dryLastN", dryLastN)
    // The greatest of its type stands for a random one.
    guard seed != Int(UInt32.max) else { throw SphereEdgeError(.invalidArgument, "`\(UInt32.max)` is not a value of seed") }
    try set(&options.seed, "seed", seed)
    try set(&options.draft_tokens, "draftTokens", draftTokens)
    if let draft { options.draft = Int32(Draft.allCases.firstIndex(of: draft)!) }
    options.prediction = try memory.string("prediction", optional: prediction)
    options.sequence_key = try memory.string("sequenceKey", optional: sequenceKey)
    try set(&options.top_logprobs, "topLogprobs", topLogprobs)
    options.timeout_ms = try milliseconds(timeoutSeconds)
    options.ignore_end_of_text = ignoreEndOfText ?? false
    options.logprobs = logprobs ?? ((topLogprobs ?? 0) > 0)
    options.stop = UnsafePointer(try memory.strings("a stop string", stop ?? []))
    options.stop_count = stop?.count ?? 0
    let tokens = try (stopTokenIds ?? []).map { try fitted("stopTokenIds", $0, Int32.self) }
    options.stop_token_ids = UnsafePointer(memory.array(tokens))
    options.stop_token_count = tokens.count
    if let drySequenceBreakers {
      // NULL would be the core's own ones.
      options.dry_sequence_breakers = UnsafePointer(
        try memory.strings("a DRY sequence breaker", drySequenceBreakers + [""]))
      options.dry_sequence_breaker_count = drySequenceBreakers.count
    }
    let bias = try (logitBias ?? [:]).map { token, bias in
      se_logit_bias(token_id: try fitted("a token of logitBias", token, Int32.self), bias: bias)
    }
    options.logit_bias = UnsafePointer(memory.array(bias))
    options.logit_bias_count = bias.count
    options.grammar = try memory.string("grammar", optional: grammar)
    options.json_schema = try memory.string("jsonSchema", optional: jsonSchema)
  }
}

/// What a chat may answer, as in OpenAI's chat completions; docs/chat.md tells each of them.
public struct ChatOptions: Sendable, Hashable, Codable {
  public var tools: [JSONValue]?
  public var toolChoice: JSONValue?
  public var parallelToolCalls: Bool?
  public var responseFormat: JSONValue?
  /// true, false or the most tokens of it; nil: as the model's template has it.
  public var reasoning: JSONValue?
  /// The answer goes on with the last message, the assistant's.
  public var continueFinalMessage: Bool?
  /// Variables of the chat template.
  public var chatTemplateKwargs: [String: JSONValue]?

  public init() {}
}

/// How texts become vectors.
public struct EmbedRequest: Sendable, Hashable, Codable {
  public enum Pooling: String, Sendable, Codable, CaseIterable {
    case mean, cls, last
  }

  /// nil: as the model says.
  public var pooling: Pooling?
  /// To length 1.
  public var normalize: Bool?
  /// Cut off texts that are too long instead of refusing them.
  public var truncate: Bool?
  public var timeoutSeconds: Double?

  public init(pooling: Pooling? = nil, normalize: Bool = true, truncate: Bool = false) {
    self.pooling = pooling
    self.normalize = normalize
    self.truncate = truncate
  }
}

/// How speech is transcribed.
public struct TranscriptionRequest: Sendable, Hashable, Codable {
  /// A code such as `de`; nil or `auto`: detected.
  public var language: String?
  /// Into English.
  public var translate: Bool?
  /// Words and names that may occur.
  public var prompt: String?
  public var temperature: Float?
  /// Added after each attempt that failed; 0: one attempt only.
  public var temperatureStep: Float?
  /// 0: greedy; at most 8.
  public var beamSize: Int?
  public var wordTimestamps: Bool?
  /// Segments end at the end of a word before they get longer; 0: no limit.
  public var maxSegmentCharacters: Int?
  /// Only where there is speech; needs a bundle with a VAD model.
  public var vad: Bool?
  /// What was said before helps with the next 30 s; without it nothing is repeated from there.
  public var conditionOnPreviousText: Bool?
  public var timeoutSeconds: Double?

  public init(language: String? = nil, translate: Bool = false, wordTimestamps: Bool = false) {
    self.language = language
    self.translate = translate
    self.wordTimestamps = wordTimestamps
  }

  func filled(_ memory: Memory) throws -> se_audio_transcribe_options {
    var options = se_audio_transcribe_options()
    try check(se_audio_default_options(&options, MemoryLayout<se_audio_transcribe_options>.size))
    options.language = try memory.string("language", optional: language == "auto" ? nil : language)
    options.prompt = try memory.string("prompt", optional: prompt)
    options.temperature = temperature ?? options.temperature
    options.temperature_step = temperatureStep ?? options.temperature_step
    if let beamSize { options.beam_size = try fitted("beamSize", beamSize, Int32.self) }
    if let maxSegmentCharacters {
      options.max_segment_characters = try fitted("maxSegmentCharacters", maxSegmentCharacters, UInt32.self)
    }
    options.timeout_ms = try milliseconds(timeoutSeconds)
    options.translate = translate ?? false
    options.word_timestamps = wordTimestamps ?? false
    options.vad = vad ?? false
    options.ignore_previous_text = !(conditionOnPreviousText ?? true)
    return options
  }
}
