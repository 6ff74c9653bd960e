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

      public init(configuration: Configuration) throws {
        text = configuration.text
      }

      /// Computes `transcript`, so that a prompt that goes on with it waits for less.
      public func prewarm(model: SphereEdgeLanguageModel, transcript: Transcript) {
        Task {
          let conversation = try Conversation(of: transcript, readsImages: text.info.readsImages)
          // Only a hint: where a template takes no conversation without a question, the first answer comes later.
          _ = try await text.chat(conversation.messages, TextRequest(maxTokens: 1)).text()
        }
      }

      public nonisolated(nonsending) func respond(
        to request: LanguageModelExecutorGenerationRequest, model: SphereEdgeLanguageModel,
        streamingInto channel: LanguageModelExecutorGenerationChannel
      ) async throws {
        let conversation = try Conversation(of: request, readsImages: text.info.readsImages, reasons: model.reasons)
        var reply = Reply(channel, reasons: model.reasons)
        do {
          let events = text.chat(conversation.messages, conversation.request, options: conversation.options)
          for try await event in events {
            switch event {
            case .delta(let delta): await reply.send(delta)
            case .finished(let result): await reply.finish(result)
            }
          }
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
#endif
