// Reply: what a model says, as events of a session's channel.
#if canImport(FoundationModels, _version: 2)
  import Foundation
  import FoundationModels
  import SphereEdge

  /// One answer: at most one entry of text, one of reasoning and one of tool calls.
  @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
  struct Reply {
    private typealias Channel = LanguageModelExecutorGenerationChannel
    private let channel: LanguageModelExecutorGenerationChannel
    private let reasons: Bool
    private let response = UUID().uuidString
    private let reasoning = UUID().uuidString
    private let toolCalls = UUID().uuidString
    private var calls: [(id: String, name: String)] = []
    // Of the last call.
    private var arguments = ""
    private var hasText = false

    /// Reasoning is left out where the model does not tell the framework that it reasons.
    init(_ channel: LanguageModelExecutorGenerationChannel, reasons: Bool) {
      self.channel = channel
      self.reasons = reasons
    }

    nonisolated(nonsending) mutating func send(_ event: TextEvent) async {
      switch event {
      case .delta(let delta): await send(delta)
      case .finished(let result): await finish(result)
      }
    }

    /// The counts of the pieces are provisional, those of `finish` replace them.
    private nonisolated(nonsending) mutating func send(_ delta: TextDelta) async {
      switch delta.kind {
      case .text:
        hasText = true
        await channel.send(.response(entryID: response, action: .appendText(delta.text, tokenCount: 1)))
      case .reasoning:
        if reasons { await channel.send(.reasoning(entryID: reasoning, action: .appendText(delta.text, tokenCount: 1))) }
      case .toolCallBegin:
        calls.append((delta.toolCallId, delta.toolName))
        arguments = ""
        await append("", tokens: 0)
      case .toolCallArguments:
        arguments += delta.text
        await append(delta.text, tokens: 1)
      case .toolCallEnd:
        break
      }
    }

    private nonisolated(nonsending) mutating func finish(_ result: TextResult) async {
      // A session would decode arguments that were cut off.
      if result.finishReason == .length, let last = calls.last, (try? JSONValue(json: arguments)) == nil {
        calls.removeLast()
        await channel.send(.toolCalls(entryID: toolCalls, action: .removeToolCall(id: last.id)))
      }
      let input = Channel.Usage.Input(totalTokenCount: result.promptTokens, cachedTokenCount: result.cachedTokens)
      let output = Channel.Usage.Output(
        totalTokenCount: result.completionTokens, reasoningTokenCount: reasons ? result.reasoningTokens : 0)
      if !hasText && !calls.isEmpty {
        await channel.send(.toolCalls(entryID: toolCalls, action: .updateUsage(input: input, output: output)))
        return
      }
      // A session takes an executor that says nothing for a failure.
      if !hasText { await channel.send(.response(entryID: response, action: .appendText("", tokenCount: 0))) }
      if result.finishReason == .length {
        await channel.send(.response(entryID: response, action: .updateMetadata(["incompleteOutput": true])))
      }
      await channel.send(.response(entryID: response, action: .updateUsage(input: input, output: output)))
    }

    private nonisolated(nonsending) func append(_ piece: String, tokens: Int) async {
      guard let call = calls.last else { return }
      await channel.send(
        .toolCalls(
          entryID: toolCalls,
          action: .toolCall(id: call.id, name: call.name, action: .appendArguments(piece, tokenCount: tokens))))
    }
  }
#endif
