// SphereEdgeLanguageModel: a text model of ours behind the `LanguageModelSession` of Apple's FoundationModels.
#if canImport(FoundationModels, _version: 2)
  import Foundation
  import FoundationModels
  import SphereEdge

  /// An open text model for `LanguageModelSession(model:)`: its streams, `@Generable` types, tools and transcripts.
  ///
  /// Sessions of one `TextManager` take turns, as all its calls do; each finds the beginning of its transcript in the KV
  /// cache where `TextOpenOptions.sequences` leaves room. Answers of types follow their schema exactly, in the order of
  /// its properties. What fails throws a `LanguageModelError` where there is one that says it (the transcript is too
  /// long, a guide that no grammar can follow, content that the model does not read), and else the `SphereEdgeError`.
  @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
  public struct SphereEdgeLanguageModel: LanguageModel {
    /// Closing it ends the sessions' answers.
    public let text: TextManager
    /// Whether the model reasons: it then does so into the transcript, and sessions may ask for a reasoning level.
    public let reasons: Bool

    /// `reasons`: false keeps a model from reasoning, where its template can.
    public init(_ text: TextManager, reasons: Bool = false) {
      self.text = text
      self.reasons = reasons
    }

    public var capabilities: LanguageModelCapabilities {
      var found: [LanguageModelCapabilities.Capability] = [.guidedGeneration, .toolCalling]
      if text.info.readsImages { found.append(.vision) }
      if reasons { found.append(.reasoning) }
      return LanguageModelCapabilities(found)
    }

    public var executorConfiguration: Executor.Configuration {
      Executor.Configuration(text: text)
    }
  }

  @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
  extension SphereEdgeLanguageModel {
    /// Answers the requests of sessions.
    public struct Executor: LanguageModelExecutor {
      public typealias Model = SphereEdgeLanguageModel

      /// Equal for the same open model.
      public struct Configuration: Hashable, Sendable {
        let text: TextManager

        public static func == (one: Configuration, other: Configuration) -> Bool { one.text === other.text }

        public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(text)) }
      }

      private let text: TextManager
      private let answering = Answering()

      public init(configuration: Configuration) throws {
        text = configuration.text
      }

      /// Computes `transcript` and the tools of its instructions, so that a prompt that goes on with it waits for less.
      ///
      /// A request that is made later waits for it; while one is answered, it does nothing.
      public func prewarm(model: SphereEdgeLanguageModel, transcript: Transcript) {
        // After the answer, `transcript` would take it out of the KV cache.
        guard !answering.isUnderWay else { return }
        let conversation = try? Conversation(of: transcript, readsImages: text.info.readsImages, reasons: model.reasons)
        guard let conversation else { return }
        // Its turn is taken here, before that of any later request.
        let events = text.chat(conversation.messages, TextRequest(maxTokens: 1), options: conversation.options)
        // Only a hint: where a template takes no conversation without a question, the first answer comes later.
        Task { _ = try await events.text() }
      }

      public nonisolated(nonsending) func respond(
        to request: LanguageModelExecutorGenerationRequest, model: SphereEdgeLanguageModel,
        streamingInto channel: LanguageModelExecutorGenerationChannel
      ) async throws {
        answering.begin()
        defer { answering.end() }
        let conversation = try Conversation(of: request, readsImages: text.info.readsImages, reasons: model.reasons)
        var reply = Reply(channel, reasons: model.reasons)
        do {
          let events = text.chat(conversation.messages, conversation.request, options: conversation.options)
          for try await event in events { await reply.send(event) }
        } catch let error as SphereEdgeError {
          throw await described(error, conversation)
        }
        // The stream just ends where the session's task was cancelled.
        try Task.checkCancellation()
      }

      /// In the framework's words, where it has them.
      private nonisolated(nonsending) func described(
        _ error: SphereEdgeError, _ conversation: Conversation
      ) async -> any Error {
        if Task.isCancelled { return CancellationError() }
        guard error.code == .invalidArgument else { return error }
        let context = text.info.contextTokens
        let counted = try? await text.countChat(conversation.messages, options: conversation.options)
        if let counted, counted > context {
          return LanguageModelError.contextSizeExceeded(
            .init(contextSize: context, tokenCount: counted, debugDescription: error.message))
        }
        if conversation.options.responseFormat != nil, error.message.contains("JSON schema") {
          return LanguageModelError.unsupportedGenerationGuide(.init(schemaName: nil, debugDescription: error.message))
        }
        return error
      }
    }
  }

  /// Counts the requests that an executor and its copies answer now.
  private final class Answering: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0
    var isUnderWay: Bool { lock.withLock { count > 0 } }
    func begin() { lock.withLock { count += 1 } }
    func end() { lock.withLock { count -= 1 } }
  }
#endif
