// A text model: open, generate, chat, cancel, close.
import Foundation
import SphereEdge
import Testing

/// What the tests are given by the program that starts them.
enum Given {
  static let text = path("SPHERE_EDGE_TEXT")

  /// Of those in the document SPHERE_EDGE_MODELS.
  static func model(_ name: String) -> URL {
    let models = try? JSONDecoder().decode([String: String].self, from: Data(contentsOf: path("SPHERE_EDGE_MODELS")))
    return URL(fileURLWithPath: models?[name] ?? "/no/\(name)")
  }

  static func path(_ name: String) -> URL {
    URL(fileURLWithPath: ProcessInfo.processInfo.environment[name] ?? "/no/\(name)")
  }
}

@Suite struct TextTests {
  static let sky = [Message.user("What colour is the sky?")]

  @Test func answers() async throws {
    let text = try await TextManager.open(Given.text)
    var request = TextRequest(maxTokens: 30, temperature: 0)
    let (message, result) = try await text.chat(Self.sky, request).message()
    #expect(message.content?.contains("blue") == true)
    #expect(result.finishReason == .stop && result.completionTokens > 0 && result.backend == "cpu")
    request.topLogprobs = 2
    var logprobs = 0
    for try await event in text.generate("Hi", request) {
      if case .delta(let delta) = event { logprobs += delta.logprobs.filter { $0.topLogprobs.count == 2 }.count }
      if case .finished(let result) = event { #expect(logprobs == result.completionTokens) }
    }
    #expect(logprobs > 0)
    await text.close()
  }

  @Test func cancelledTextSaysSoAndTheNextOneRuns() async throws {
    let text = try await TextManager.open(Given.text)
    var request = TextRequest(maxTokens: 400, temperature: 0)
    request.ignoreEndOfText = true
    var pieces = 0
    var result: TextResult?
    let error = await #expect(throws: SphereEdgeError.self) {
      for try await event in text.generate("Hi", request) {
        if case .finished(let figures) = event { result = figures }
        pieces += 1
        if pieces == 3 { text.cancel() }
      }
    }
    #expect(error?.code == .cancelled && result?.finishReason == .cancelled)
    #expect(try await text.generate("Hi", TextRequest(maxTokens: 3)).message().result.completionTokens <= 3)
    await text.close()
  }

  @Test func closedModelSaysSo() async throws {
    let text = try await TextManager.open(Given.text)
    await text.close()
    await text.close()
    let error = await #expect(throws: SphereEdgeError.self) { try await text.tokenize("Hi") }
    #expect(error?.code == .invalidArgument && error?.message == "the model has been closed")
  }

  @Test func missingModelSaysSo() async throws {
    let missing = URL(fileURLWithPath: "/no/model")
    let error = await #expect(throws: SphereEdgeError.self) { try await TextManager.open(missing) }
    #expect(error?.code == .notFound && error?.localizedDescription.contains("/no/model") == true)
  }
}
