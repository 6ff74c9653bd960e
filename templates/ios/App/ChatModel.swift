// The chat's messages and the model that answers them.
import Observation
import SphereEdge

struct Entry: Identifiable, Sendable {
  let id: Int
  let fromUser: Bool
  var text: String
}

@MainActor @Observable
final class ChatModel {
  static let shared = ChatModel()

  private(set) var entries: [Entry] = []
  /// What was measured at the last answer, or what went wrong.
  private(set) var figures = ""
  private(set) var isRunning = false
  private var running: Task<Void, Never>?
  private var nextId = 0

  func send(_ text: String) {
    guard !text.isEmpty, !isRunning else { return }
    append(text, fromUser: true)
    answer()
  }

  /// Ends the answer; what has come of it stays.
  func stop() { running?.cancel() }

  /// Answers the last question again.
  func regenerate() {
    guard !isRunning else { return }
    if entries.last?.fromUser == false { entries.removeLast() }
    if !entries.isEmpty { answer() }
  }

  func clear() {
    guard !isRunning else { return }
    entries = []
  }

  /// Measures so many tokens after a fixed prompt.
  func measure(tokens: Int) {
    start { model in
      var request = TextRequest(maxTokens: tokens, temperature: 0)
      request.ignoreEndOfText = true
      for try await event in model.generate("The history of the world begins", request) {
        if case .finished(let result) = event { self.figures = Self.figures(of: result) }
      }
    }
  }

  private func answer() {
    start { model in
      let messages = self.entries.map { $0.fromUser ? Message.user($0.text) : Message.assistant($0.text) }
      self.append("", fromUser: false)
      for try await event in model.chat(messages, TextRequest(maxTokens: 1024)) {
        switch event {
        case .delta(let delta):
          if delta.kind == .text, !self.entries.isEmpty { self.entries[self.entries.count - 1].text += delta.text }
        case .finished(let result): self.figures = Self.figures(of: result)
        }
      }
    }
  }

  private func append(_ text: String, fromUser: Bool) {
    entries.append(Entry(id: nextId, fromUser: fromUser, text: text))
    nextId += 1
  }

  private func start(_ work: @escaping @MainActor (TextManager) async throws -> Void) {
    guard !isRunning else { return }
    isRunning = true
    running = Task {
      do {
        try await work(try await Models.openText())
      } catch {
        if !Task.isCancelled { figures = sentence(error) }
      }
      isRunning = false
    }
  }

  private static func figures(of result: TextResult) -> String {
    let seconds = result.decodeSeconds
    let speed = seconds > 0 ? Double(result.completionTokens - 1) / seconds : 0
    let rounded = (speed * 10).rounded() / 10
    return "\(result.backend): \(rounded) tokens/s, \(result.promptTokens) + \(result.completionTokens) tokens"
  }
}
