// Stands for Apple's FoundationModels of iOS 27: the declarations that our adapter uses, as documented by Apple.
//
// What a session gives to an executor can be made, and what the executor sends is kept, so that a test can be the session.
import Foundation

public protocol LanguageModel: Sendable {
  associatedtype Executor: LanguageModelExecutor where Executor.Model == Self
  var capabilities: LanguageModelCapabilities { get }
  var executorConfiguration: Executor.Configuration { get }
}

public protocol LanguageModelExecutor: Sendable {
  associatedtype Configuration: Hashable, Sendable
  associatedtype Model: LanguageModel
  init(configuration: Configuration) throws
  func prewarm(model: Model, transcript: Transcript)
  nonisolated(nonsending) func respond(
    to request: LanguageModelExecutorGenerationRequest, model: Model,
    streamingInto channel: LanguageModelExecutorGenerationChannel
  ) async throws
}

public struct LanguageModelCapabilities: Sendable {
  public struct Capability: Sendable, Hashable {
    let name: String
    public static var guidedGeneration: Capability { .init(name: "guidedGeneration") }
    public static var toolCalling: Capability { .init(name: "toolCalling") }
    public static var reasoning: Capability { .init(name: "reasoning") }
    public static var vision: Capability { .init(name: "vision") }
  }

  private let all: Set<Capability>
  public init(_ capabilities: [Capability]) { all = Set(capabilities) }
  public func contains(_ capability: Capability) -> Bool { all.contains(capability) }
}

public struct LanguageModelExecutorGenerationRequest: Sendable {
  public var id = UUID()
  public var transcript: Transcript
  public var enabledToolDefinitions: [Transcript.ToolDefinition]
  public var schema: GenerationSchema?
  public var generationOptions: GenerationOptions
  public var contextOptions: ContextOptions

  public init(
    transcript: Transcript, enabledTools: [Transcript.ToolDefinition] = [], schema: GenerationSchema? = nil,
    generationOptions: GenerationOptions = .init(), contextOptions: ContextOptions = .init()
  ) {
    self.transcript = transcript
    enabledToolDefinitions = enabledTools
    self.schema = schema
    self.generationOptions = generationOptions
    self.contextOptions = contextOptions
  }
}

public struct GenerationOptions: Sendable {
  public struct SamplingMode: Sendable {
    public enum Kind: Sendable {
      case greedy
      case randomTopK(Int, seed: UInt64?)
      case randomProbabilityThreshold(Double, seed: UInt64?)
    }

    public let kind: Kind
    public static var greedy: SamplingMode { .init(kind: .greedy) }
    public static func random(top k: Int, seed: UInt64? = nil) -> SamplingMode { .init(kind: .randomTopK(k, seed: seed)) }
  }

  public struct ToolCallingMode: Sendable {
    public enum Kind: Sendable { case allowed, required, disallowed }

    public let kind: Kind
    public static var required: ToolCallingMode { .init(kind: .required) }
    public static var disallowed: ToolCallingMode { .init(kind: .disallowed) }
  }

  public var samplingMode: SamplingMode?
  public var temperature: Double?
  public var maximumResponseTokens: Int?
  public var toolCallingMode: ToolCallingMode?
  public init(samplingMode: SamplingMode? = nil, maximumResponseTokens: Int? = nil, toolCallingMode: ToolCallingMode? = nil) {
    self.samplingMode = samplingMode
    self.maximumResponseTokens = maximumResponseTokens
    self.toolCallingMode = toolCallingMode
  }
}

public struct ContextOptions: Sendable {
  public enum ReasoningLevel: Sendable {
    case light, moderate, deep
    case custom(String)
  }

  public var includeSchemaInPrompt: Bool?
  public var reasoningLevel: ReasoningLevel?
  public init(includeSchemaInPrompt: Bool? = nil, reasoningLevel: ReasoningLevel? = nil) {
    self.includeSchemaInPrompt = includeSchemaInPrompt
    self.reasoningLevel = reasoningLevel
  }
}

/// Apple's writes the JSON schema of a type; this one is made of such a document.
public struct GenerationSchema: Sendable, Encodable {
  private let document: @Sendable (any Encoder) throws -> Void
  public init(_ document: some Encodable & Sendable) { self.document = document.encode(to:) }
  public func encode(to encoder: any Encoder) throws { try document(encoder) }
}

public struct GeneratedContent: Sendable {
  public let jsonString: String
  public init(json: String) throws { jsonString = json }
}

public protocol ConvertibleToGeneratedContent: Sendable {}
extension Bool: ConvertibleToGeneratedContent {}

public enum LanguageModelError: Error {
  case contextSizeExceeded(ContextSizeExceeded)
  case unsupportedGenerationGuide(UnsupportedGenerationGuide)
  case unsupportedTranscriptContent(UnsupportedTranscriptContent)

  public struct ContextSizeExceeded: Sendable {
    public var contextSize: Int
    public var tokenCount: Int
    public var debugDescription: String
    public init(contextSize: Int, tokenCount: Int, debugDescription: String, metadata: [String: any Sendable] = [:]) {
      self.contextSize = contextSize
      self.tokenCount = tokenCount
      self.debugDescription = debugDescription
    }
  }

  public struct UnsupportedGenerationGuide: Sendable {
    public var debugDescription: String
    public init(schemaName: String?, debugDescription: String, metadata: [String: any Sendable] = [:]) {
      self.debugDescription = debugDescription
    }
  }

  public struct UnsupportedTranscriptContent: Sendable {
    public var unsupportedContent: [Transcript.Entry]
    public var debugDescription: String
    public init(unsupportedContent: [Transcript.Entry], debugDescription: String, metadata: [String: any Sendable] = [:]) {
      self.unsupportedContent = unsupportedContent
      self.debugDescription = debugDescription
    }
  }
}
