// Stands for Apple's channel from an executor to a session; keeps what is sent.
import Foundation

public struct LanguageModelExecutorGenerationChannel: Sendable {
  private let sent = Sent()
  public init() {}
  public func send(_ event: Event) async { sent.add(event) }
  /// Of the stand-in only.
  public var events: [Event] { sent.all }

  public struct Usage: Sendable {
    public struct Input: Sendable {
      public var totalTokenCount: Int
      public var cachedTokenCount: Int
      public init(totalTokenCount: Int, cachedTokenCount: Int) {
        self.totalTokenCount = totalTokenCount
        self.cachedTokenCount = cachedTokenCount
      }
    }

    public struct Output: Sendable {
      public var totalTokenCount: Int
      public var reasoningTokenCount: Int
      public init(totalTokenCount: Int, reasoningTokenCount: Int) {
        self.totalTokenCount = totalTokenCount
        self.reasoningTokenCount = reasoningTokenCount
      }
    }
  }

  public struct Event: Sendable {
    /// Of the stand-in only: `response`, `reasoning` or `toolCalls`.
    public let kind: String
    public let entryID: String?
    public let what: What

    public static func response(entryID: String? = nil, action: Response.Action) -> Event {
      Event(kind: "response", entryID: entryID, what: action.what)
    }
    public static func reasoning(entryID: String? = nil, action: Reasoning.Action) -> Event {
      Event(kind: "reasoning", entryID: entryID, what: action.what)
    }
    public static func toolCalls(entryID: String? = nil, action: ToolCalls.Action) -> Event {
      Event(kind: "toolCalls", entryID: entryID, what: action.what)
    }
  }

  /// Of the stand-in only.
  public enum What: Sendable {
    case text(String)
    case arguments(id: String, name: String, String)
    case removed(id: String)
    case metadata([String])
    case usage(Usage.Input, Usage.Output)
  }

  public enum Response {
    public struct Action: Sendable {
      let what: What
      public static func appendText(_ text: String, segmentID: String? = nil, tokenCount: Int) -> Action {
        .init(what: .text(text))
      }
      public static func updateMetadata(_ values: [String: any ConvertibleToGeneratedContent]) -> Action {
        .init(what: .metadata(values.keys.sorted()))
      }
      public static func updateUsage(
        input: Usage.Input, output: Usage.Output, metadata: [String: any ConvertibleToGeneratedContent] = [:]
      ) -> Action { .init(what: .usage(input, output)) }
    }
  }

  public enum Reasoning {
    public struct Action: Sendable {
      let what: What
      public static func appendText(_ text: String, segmentID: String? = nil, tokenCount: Int) -> Action {
        .init(what: .text(text))
      }
    }
  }

  public enum ToolCalls {
    public struct Action: Sendable {
      let what: What
      public static func toolCall(id: String, name: String, action: ToolCall.Action) -> Action {
        .init(what: .arguments(id: id, name: name, action.content))
      }
      public static func removeToolCall(id: String) -> Action { .init(what: .removed(id: id)) }
      public static func updateUsage(
        input: Usage.Input, output: Usage.Output, metadata: [String: any ConvertibleToGeneratedContent] = [:]
      ) -> Action { .init(what: .usage(input, output)) }
    }

    public enum ToolCall {
      public struct Action: Sendable {
        let content: String
        public static func appendArguments(_ content: String, tokenCount: Int) -> Action { .init(content: content) }
      }
    }
  }
}

private final class Sent: @unchecked Sendable {
  private let lock = NSLock()
  private var events: [LanguageModelExecutorGenerationChannel.Event] = []
  var all: [LanguageModelExecutorGenerationChannel.Event] { lock.withLock { events } }
  func add(_ event: LanguageModelExecutorGenerationChannel.Event) { lock.withLock { events.append(event) } }
}
