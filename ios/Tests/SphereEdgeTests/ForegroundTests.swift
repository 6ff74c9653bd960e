// The rule of the background, with a model on the CPU that is held to it.
import Foundation
import Testing

@testable import SphereEdge

@Suite struct ForegroundTests {
  @Test func nothingComputesWhileTheAppIsNotActive() async throws {
    let foreground = Foreground()
    let text = try await TextManager.open(Given.text, .init(), foreground: foreground)
    var pieces = 0
    let error = await #expect(throws: SphereEdgeError.self) {
      for try await _ in text.generate("Hi", RaceTests.endless) {
        pieces += 1
        // Returns when the engine has stopped.
        if pieces == 1 { foreground.willResignActive() }
      }
    }
    #expect(error?.code == .cancelled)
    let refused = await #expect(throws: SphereEdgeError.self) { try await text.generate("Hi").text() }
    #expect(refused?.code == .unavailable)
    foreground.didBecomeActive()
    #expect(try await text.generate("Hi", TextRequest(maxTokens: 2)).message().result.completionTokens <= 2)
    await text.close()
  }
}
