// Stands for Apple's Transcript, what a session knows of its conversation.
public struct Transcript: Sendable, RandomAccessCollection {
  private let entries: [Entry]
  public init(entries: some Sequence<Entry>) { self.entries = Array(entries) }
  public var startIndex: Int { entries.startIndex }
  public var endIndex: Int { entries.endIndex }
  public subscript(index: Int) -> Entry { entries[index] }

  public enum Entry: Sendable {
    case instructions(Instructions)
    case prompt(Prompt)
    case toolCalls(ToolCalls)
    case toolOutput(ToolOutput)
    case response(Response)
    case reasoning(Reasoning)
    case data(DataEntry)
  }

  public struct Instructions: Sendable {
    public var segments: [Segment]
    public var toolDefinitions: [ToolDefinition]
    public init(segments: [Segment], toolDefinitions: [ToolDefinition]) {
      self.segments = segments
      self.toolDefinitions = toolDefinitions
    }
  }

  public struct Prompt: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }

  public struct Response: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }

  public struct Reasoning: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }

  public struct DataEntry: Sendable {}

  public struct ToolOutput: Sendable {
    public var id: String
    public var toolName: String
    public var segments: [Segment]
    public init(id: String, toolName: String, segments: [Segment]) {
      self.id = id
      self.toolName = toolName
      self.segments = segments
    }
  }

  public struct ToolCalls: Sendable, RandomAccessCollection {
    private let calls: [ToolCall]
    public init(_ calls: some Sequence<ToolCall>) { self.calls = Array(calls) }
    public var startIndex: Int { calls.startIndex }
    public var endIndex: Int { calls.endIndex }
    public subscript(index: Int) -> ToolCall { calls[index] }
  }

  public struct ToolCall: Sendable {
    public var id: String
    public var toolName: String
    public var arguments: GeneratedContent
    public init(id: String, toolName: String, arguments: GeneratedContent) {
      self.id = id
      self.toolName = toolName
      self.arguments = arguments
    }
  }

  public struct ToolDefinition: Sendable {
    public var name: String
    public var description: String
    public var parameters: GenerationSchema
    public init(name: String, description: String, parameters: GenerationSchema) {
      self.name = name
      self.description = description
      self.parameters = parameters
    }
  }

  public enum Segment: Sendable {
    case text(TextSegment)
    case structure(StructuredSegment)
    case attachment(AttachmentSegment)
    case custom(String)
  }

  public struct TextSegment: Sendable {
    public var content: String
    public init(content: String) { self.content = content }
  }

  public struct StructuredSegment: Sendable {
    public var content: GeneratedContent
    public init(content: GeneratedContent) { self.content = content }
  }

  public struct AttachmentSegment: Sendable {
    public var id: String
    public var label: String?
    public init(id: String, label: String? = nil) {
      self.id = id
      self.label = label
    }
  }
}
