// Cancel, end of the reader and close at any moment: no crash, no stuck thread, nothing computes afterwards.
import Foundation
import SphereEdge
import Testing

@Suite(.serialized) struct RaceTests {
  static let rounds = Int(ProcessInfo.processInfo.environment["SPHERE_EDGE_ROUNDS"] ?? "") ?? 1000

  static var endless: TextRequest {
    var request = TextRequest(maxTokens: 400, temperature: 0)
    request.ignoreEndOfText = true
    return request
  }

  @Test func cancelAtAnyMoment() async throws {
    let text = try await TextManager.open(Given.text)
    for round in 0..<Self.rounds {
      let reader = Task {
        for try await _ in text.generate("Hi", Self.endless) {}
      }
      try await Task.sleep(nanoseconds: UInt64(round % 20) * 50_000)
      if round % 2 == 0 { reader.cancel() } else { text.cancel() }
      // One that had not begun was not cancelled by the manager: then its task is.
      if round % 2 == 1 { reader.cancel() }
      _ = await reader.result
    }
    #expect(try await text.generate("Hi", TextRequest(maxTokens: 2)).message().result.completionTokens <= 2)
    await text.close()
  }

  @Test func endOfTheReaderStopsTheEngine() async throws {
    let text = try await TextManager.open(Given.text)
    for round in 0..<Self.rounds {
      var pieces = 0
      for try await _ in text.generate("Hi", Self.endless) {
        pieces += 1
        if pieces > round % 4 { break }
      }
    }
    let result = try await text.generate("Hi", TextRequest(maxTokens: 2)).message().result
    #expect(result.completionTokens <= 2)
    await text.close()
  }

  @Test func closeWhileDecoding() async throws {
    for round in 0..<Self.rounds / 10 {
      let text = try await TextManager.open(Given.text)
      let events = text.generate("Hi", Self.endless)
      try await Task.sleep(nanoseconds: UInt64(round % 20) * 50_000)
      await text.close()
      var last: (any Error)?
      do { for try await _ in events {} } catch { last = error }
      // It had ended, was ended, or had not begun.
      if let error = last as? SphereEdgeError { #expect([.cancelled, .invalidArgument].contains(error.code)) }
      await #expect(throws: SphereEdgeError.self) { try await text.tokenize("Hi") }
    }
  }

  @Test func eightManagersInParallel() async throws {
    let texts = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let text = try await TextManager.open(Given.text, TextOpenOptions(threads: 1))
          defer { text.cancel() }
          let answer = try await text.chat(TextTests.sky, TextRequest(maxTokens: 20, temperature: 0)).text()
          await text.close()
          return answer
        }
      }
      return try await group.reduce(into: [String]()) { $0.append($1) }
    }
    #expect(texts.count == 8 && Set(texts).count == 1)
  }

  @Test func memoryStaysFlat() async throws {
    func openAndClose(_ times: Int) async throws {
      for _ in 0..<times {
        let text = try await TextManager.open(Given.text)
        _ = try await text.generate("Hi", TextRequest(maxTokens: 2)).message()
        await text.close()
      }
    }
    let times = Self.rounds / 2
    try await openAndClose(times / 5)
    let before = residentBytes()
    try await openAndClose(times)
    // A model of this size that leaked would be hundreds of MiB.
    #expect(residentBytes() - before < 24 << 20)
  }

  private func residentBytes() -> Int {
    let pages = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[1]
    return pages.flatMap { Int($0) }.map { $0 * 4096 } ?? 0
  }

  @Test func charactersArriveWholeWhereverTheyAreCut() async throws {
    let text = try await TextManager.open(Given.text)
    let whole = "a🦊é漢👩‍👩‍👧z"
    var request = TextRequest(maxTokens: 80)
    request.grammar = "root ::= \"\(whole)\""
    var pieces: [String] = []
    for try await event in text.generate("Hi", request) {
      if case .delta(let delta) = event { pieces.append(delta.text) }
    }
    #expect(pieces.joined() == whole && !pieces.joined().contains("\u{FFFD}"))
    await text.close()
  }
}
